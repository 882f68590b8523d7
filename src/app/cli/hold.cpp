// Looks at the machine and at its server, and says whether a run has to wait.
#include "app/cli/hold.h"

#include "app/cli/running_server.h"

namespace lathe::app {
namespace {

constexpr Milliseconds kLookEvery{1'000};

// What is in the way now.
std::string reason_now(const std::set<loop::PauseReason>& when, const Climate& before,
                       const Surroundings& now) {
  using enum loop::PauseReason;
  if (when.contains(kHeat) && is_hot(before, now.climate))
    return now.climate.celsius
               ? fmt::format("the processor is too hot ({:.0f} °C)", *now.climate.celsius)
               : "the processor slows down for heat";
  if (when.contains(kBattery) && now.climate.on_battery.value_or(false))
    return "the machine runs on its battery";
  if (when.contains(kPerson) && now.person) return "somebody asks this machine's server";
  return {};
}

bool person_at_server(const App& app) {
  const auto base = running_server(app);
  if (!base) return false;
  const auto status = get_json(app, {.base = *base}, "/status");
  return status && json_int(*status, "interactive", 0) > 0;
}

}  // namespace

std::string Hold::why(const std::set<loop::PauseReason>& when, const Surroundings& now,
                      Milliseconds time) {
  const std::string reason = reason_now(when, before_.value_or(now.climate), now);
  before_ = now.climate;
  if (!reason.empty()) {
    why_ = reason;
    seen_ = time;
  } else if (time - seen_ >= kCalm) {
    why_.clear();
  }
  return why_;
}

std::function<std::string(const std::set<loop::PauseReason>&)> hold_here(const App& app) {
  struct Watch {
    Hold hold;
    std::optional<Milliseconds> looked = {};
    std::string said = {};
  };
  return [&app, watch = std::make_shared<Watch>()](const std::set<loop::PauseReason>& when) {
    const Milliseconds now = system_clock().monotonic();
    if (watch->looked && now - *watch->looked < kLookEvery) return watch->said;
    watch->looked = now;
    const bool person = when.contains(loop::PauseReason::kPerson) && person_at_server(app);
    watch->said = watch->hold.why(when, {read_climate(), person}, now);
    return watch->said;
  };
}

}  // namespace lathe::app
