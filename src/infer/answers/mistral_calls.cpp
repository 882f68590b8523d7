// Mistral's calls, of the older tokenizers and of those with [ARGS].
#include <cctype>

#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

constexpr std::string_view kToolCalls = "[TOOL_CALLS]", kCallId = "[CALL_ID]", kArgs = "[ARGS]";

// [TOOL_CALLS][{"name": …, "arguments": {…}, "id": …}, …]
// [TOOL_CALLS]N[CALL_ID]id[ARGS]{…}   and   [TOOL_CALLS]N[ARGS]{…}
// Without the list's brackets, or without [ARGS], it is a call if the tool was offered.
class Mistral final : public CallReader {
 public:
  Mistral(const OfferedTools& tools, CallNotes& notes) : tools_(tools), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    const std::size_t begin = skip_spaces(text, kToolCalls.size());
    if (begin == text.size()) return more(last);
    if (text[begin] == '[' || text[begin] == '{') return list(text, begin, last);
    const std::size_t name_end = word_end(text, begin);
    if (name_end == begin || name_end - begin > kMaxWord) return no_call();
    if (name_end == text.size()) return more(last);
    ToolCall call{"", std::string(text.substr(begin, name_end - begin)), ""};
    std::size_t at = name_end;
    const auto has_id = stands(text, at, kCallId);
    if (!has_id) return more(last);
    if (*has_id) {
      const std::size_t id = at + kCallId.size();
      at = word_end(text, id);
      if (at - id > kMaxWord) return no_call();
      if (at == text.size()) return more(last);
      call.id = text.substr(id, at - id);
    }
    const auto has_arguments = stands(text, at, kArgs);
    if (!has_arguments) return more(last);
    if (!*has_arguments && !tools_.have(call.name)) return no_call();
    const std::size_t json = skip_spaces(text, at + (*has_arguments ? kArgs.size() : 0));
    if (json == text.size()) return more(last);
    if (text[json] != '{') return no_call();
    const std::size_t end = notes_.json_end(text, json);
    if (end == text.npos) return more(last);
    const auto arguments = json_or_python(text.substr(json, end - json));
    if (!arguments || !arguments->is_object()) return no_call();
    call.arguments = dump_json(*arguments);
    return {CallAttempt::kCalls, end, {std::move(call)}};
  }

 private:
  static constexpr std::size_t kMaxWord = 256;

  static std::size_t word_end(std::string_view text, std::size_t at) {
    while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 ||
                                text[at] == '_' || text[at] == '-' || text[at] == '.'))
      ++at;
    return at;
  }

  CallAttempt list(std::string_view text, std::size_t begin, bool last) {
    const std::size_t end = notes_.json_end(text, begin);
    if (end == text.npos) return more(last);
    auto calls =
        calls_from_text(text.substr(begin, end - begin), text[begin] == '[' ? nullptr : &tools_);
    if (calls.empty()) return no_call();
    return {CallAttempt::kCalls, end, std::move(calls)};
  }

  const OfferedTools& tools_;
  CallNotes& notes_;
};

}  // namespace

std::unique_ptr<CallReader> mistral_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<Mistral>(tools, notes);
}

}  // namespace lathe::infer
