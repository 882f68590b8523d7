// Calls of other programs' tools: written down, made, answered from what was written down.
#include "loop/conductor/tool_calls.h"

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxArguments = 4000;  // bytes of them in the record

std::string plain_arguments(const FunctionCall& call) {
  const auto json = parse_json(call.arguments);
  return json ? canonical_json(*json) : call.arguments;
}

std::string key_of(const FunctionCall& call, const std::string& arguments, const CallId* within) {
  Json key = {{"tool", call.name}, {"arguments", arguments}};
  if (within) key["within"] = to_json(*within);
  return sha256_hex(canonical_json(key));
}

}  // namespace

std::optional<ToolCallState> ToolCalls::state_of(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto found = known_.find(key);
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

void ToolCalls::remember(const std::string& key, const ToolCallState& state) {
  const std::scoped_lock lock(mutex_);
  known_[key] = state;
}

Result<ToolAnswer> ToolCalls::call(ForeignTools& tools, const CallId& within,
                                   const FunctionCall& call, const StopFlag& stop) {
  const bool once = !tools.reads_only(call.name);
  std::unique_lock alone(once_, std::defer_lock);
  if (once) alone.lock();
  const std::string arguments = plain_arguments(call);
  const std::string key = key_of(call, arguments, once ? nullptr : &within);
  ToolCallState state = state_of(key).value_or(ToolCallState{});
  if (state.answered) {
    LATHE_TRY(std::string text, book_.read(state.blob));
    return ToolAnswer{std::move(text), state.ok};
  }
  if (state.once)
    return ToolAnswer{
        "its outcome is not known: this call was begun before, and never answered; it may have "
        "done "
        "what it does, so it is not made a second time",
        false};
  bool begun = false;
  const auto about_to = [&]() -> Status {
    LATHE_TRY_STATUS(book_.write(ToolBegun{
        within, key, call.name, clip_utf8(make_valid_utf8(arguments), kMaxArguments), once}));
    state.once = once;
    remember(key, state);
    begun = true;
    return {};
  };
  LATHE_TRY(ToolAnswer answer, tools.make_call(call, about_to, stop));
  if (!begun) return answer;  // it was refused before
  LATHE_TRY(state.blob, book_.keep(answer.text));
  state.answered = true;
  state.ok = answer.ok;
  LATHE_TRY_STATUS(book_.write(ToolAnswered{within, key, state.ok, state.blob}));
  remember(key, state);
  return answer;
}

}  // namespace lathe::loop
