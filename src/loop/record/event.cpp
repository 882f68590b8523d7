// What can be told of an event whatever it is.
#include "loop/record/event.h"

namespace lathe::loop {

std::string RunBegun::baseline_of() const {
  return json_string(extra, "baseline_of");
}

bool is_decision(const Event& event) {
  return std::holds_alternative<LapOpened>(event) || std::holds_alternative<LapClosed>(event) ||
         std::holds_alternative<TrackEnded>(event) || std::holds_alternative<RunEnded>(event);
}

const CallId* call_of(const Event& event) {
  return std::visit(
      [](const auto& each) -> const CallId* {
        if constexpr (requires { each.call; })
          return &each.call;
        else
          return nullptr;
      },
      event);
}

std::optional<std::size_t> track_of(const Event& event) {
  return std::visit(
      [](const auto& each) -> std::optional<std::size_t> {
        if constexpr (requires { each.track; })
          return each.track;
        else if constexpr (requires { each.call; })
          return each.call.kind == CallId::Kind::kWhole ? std::nullopt
                                                        : std::optional(each.call.track);
        else
          return std::nullopt;
      },
      event);
}

}  // namespace lathe::loop
