// How this machine is doing: heat, clock, slowing down, battery. Reads below `root`, which tests
// replace. What cannot be read is absent, never 0. Pure reads, any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "ground/base/file.h"

namespace lathe {

struct Climate {
  std::optional<double> celsius = {};           // the hottest of the processor's sensors
  std::optional<double> limit_celsius = {};     // at which that one slows down or stops
  std::optional<std::uint64_t> throttles = {};  // how often processors slowed down for heat, a sum
  std::optional<double> mhz = {};               // of all processors, the mean
  std::optional<bool> on_battery = {};          // absent: there is no battery
};
Climate read_climate(const fs::path& root = "/");

// Too hot at the moment, or slowed down for heat since `before`. Pure.
bool is_hot(const Climate& before, const Climate& now);

}  // namespace lathe
