// Calls counted and remembered.
#include "work/tool_turn.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr int kMostCalls = 40;

}  // namespace

ToolTurn::ToolTurn(ToolSet& tools) : tools_(tools) {
  for (const Tool& tool : tools.tools()) names_.push_back(tool.name);
}

Result<ToolAnswer> ToolTurn::answer(const FunctionCall& call, const StopFlag& stop) {
  if (++calls_ > kMostCalls)
    return fail(ErrorKind::kUnavailable, "the model has called tools {} times without an answer",
                kMostCalls);
  if (!repeats_.take(call))
    return fail(ErrorKind::kUnavailable,
                "the model repeats itself: it calls {} with the same arguments a third time",
                clip_utf8(make_valid_utf8(call.name), 80));
  if (std::ranges::find(names_, call.name) == names_.end())
    return ToolAnswer{fmt::format("there is no tool '{}'{}; there are {}", clip_utf8(call.name, 60),
                                  did_you_mean(call.name, names_), join(names_, ", ")),
                      false};
  const std::string key = Repeats::key_of(call);
  if (const auto known = answered_.find(key); known != answered_.end()) return known->second;
  LATHE_TRY(ToolAnswer answer, tools_.call(call, stop));
  return answered_[key] = std::move(answer);
}

}  // namespace lathe
