// What the machine says of itself while it is measured: clock, temperature, power, throttling. What
// cannot be read is absent, never 0. Reads below `root`, which tests replace. One thread.
#pragma once

#include <optional>

#include "ground/base/json.h"
#include "ground/sys/energy.h"

namespace lathe::app {

struct Reading {
  std::int64_t at_us = 0;                  // since the point began
  std::optional<double> mhz = {};          // of all processors, the mean
  std::optional<double> celsius = {};      // the hottest of the processor's sensors
  std::optional<double> watts = {};        // since the reading before; the scope is the meter's
  std::optional<std::uint64_t> throttles;  // how often processors slowed down for heat, a sum
};

class Sensors {
 public:
  explicit Sensors(fs::path root = "/");
  Reading read(std::int64_t at_us);
  std::string energy_scope() const { return std::string(scope_name(meter_.scope())); }
  const std::string& energy_description() const { return meter_.description(); }

 private:
  const fs::path root_;
  EnergyMeter meter_;
  std::optional<double> joules_;
  std::int64_t at_us_ = 0;
};

Json to_json(const Reading& reading);  // decimals as texts, null for what is absent
Result<Reading> reading_from_json(const Json& json);

}  // namespace lathe::app
