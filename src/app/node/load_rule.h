// Whether a machine takes more work of the fleet, by what is measured there and not by a number
// that somebody set. Pure: what is seen and when is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ground/base/units.h"

namespace lathe::app {

// One look at a machine. Absent: cannot be read there, and is in nobody's way.
struct NodeLoad {
  std::optional<double> cpu = {};     // share of the last ten seconds in which something waited for
  std::optional<double> memory = {};  // a processor, for memory; in [0, 1]
  std::optional<bool> on_battery = {};
  bool person = false;     // has requests at the server here that are not background work
  std::int64_t asked = 0;  // how many of these there were so far: one may come and go unseen
  bool hot = false;        // the processor, or it slowed down for heat
};

struct LoadLimits {
  double cpu = 0.60, memory = 0.10;
  bool on_battery = false;            // work on the battery too
  Milliseconds after_person{10'000};  // so long nothing is taken after somebody asked
};

class LoadRule {
 public:
  explicit LoadRule(LoadLimits limits) : limits_(limits) {}
  // Why nothing is taken now, in words; "": nothing is in the way. `now` never goes back.
  std::string why_not(const NodeLoad& load, Milliseconds now);

 private:
  LoadLimits limits_;
  std::optional<Milliseconds> person_;  // when one was seen last
  std::optional<std::int64_t> asked_;   // as of the last look
};

}  // namespace lathe::app
