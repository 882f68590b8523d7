// The rule by which a node takes work or does not.
#include "app/node/load_rule.h"

#include <fmt/format.h>

namespace lathe::app {

std::string LoadRule::why_not(const NodeLoad& load, Milliseconds now) {
  if (load.person || (asked_ && load.asked != *asked_)) person_ = now;
  asked_ = load.asked;
  if (person_ && now - *person_ < limits_.after_person)
    return "somebody asks this machine's server";
  if (load.hot) return "the processor is too hot";
  if (load.on_battery.value_or(false) && !limits_.on_battery)
    return "the machine runs on its battery";
  if (load.memory.value_or(0) >= limits_.memory)
    return fmt::format("memory is short ({:.0f} % of the time something waits for it)",
                       100 * *load.memory);
  if (load.cpu.value_or(0) >= limits_.cpu)
    return fmt::format("the processors are busy ({:.0f} % of the time something waits for one)",
                       100 * *load.cpu);
  return {};
}

}  // namespace lathe::app
