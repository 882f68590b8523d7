// What can be told of an event whatever it is.
#include "loop/record/event.h"

#include <array>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::array<std::pair<RunResult, std::string_view>, 4> kResults{
    {{RunResult::kPassed, "passed"},
     {RunResult::kPartial, "partial"},
     {RunResult::kFailed, "failed"},
     {RunResult::kNotJudged, "not_judged"}}};

}  // namespace

std::string_view result_name(RunResult result) {
  return kResults[static_cast<std::size_t>(result)].second;
}

std::string result_text(RunResult result) {
  return replace_all(result_name(result), "_", " ");
}

std::optional<RunResult> parse_result(std::string_view name) {
  for (const auto& [result, each] : kResults)
    if (each == name) return result;
  return std::nullopt;
}

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
