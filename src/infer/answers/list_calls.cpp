// All calls of an answer in one list behind a marker, as JSON or as Python writes calls: LFM,
// Command, Nemotron, Granite 3, Apertus and others.
#include "ground/base/text.h"
#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

struct ListMarks {
  std::string_view opener, closer;  // closer "": the list's own end
  bool keyed = false;               // {"NAME": {…}} is a call
  bool offered = false;             // the opener is an ordinary word: only of offered tools
};

constexpr ListMarks kLfm{"<|tool_call_start|>", "<|tool_call_end|>"};
constexpr ListMarks kCommand{"<|START_ACTION|>", "<|END_ACTION|>"};
constexpr ListMarks kCommandR{.opener = "Action:", .closer = "", .offered = true};
constexpr ListMarks kNemotron{"<TOOLCALL>", "</TOOLCALL>"};
constexpr ListMarks kApertus{
    .opener = "<|tools_prefix|>", .closer = "<|tools_suffix|>", .keyed = true};
constexpr ListMarks kGranite{"<|tool_call|>", ""};
constexpr ListMarks kToolCalls{"<tool_calls>", "</tool_calls>"};
constexpr std::string_view kFence = "```";

class List final : public CallReader {
 public:
  List(const ListMarks& marks, const OfferedTools& tools, CallNotes& notes)
      : marks_(marks), tools_(tools), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    std::size_t at = skip_spaces(text, marks_.opener.size());
    const auto fenced = stands(text, at, kFence);
    if (!fenced) return more(last);
    if (*fenced) {
      const std::size_t line = text.substr(0, at + kMaxFence).find('\n', at);
      if (line == text.npos) return text.size() < at + kMaxFence ? more(last) : no_call();
      at = skip_spaces(text, line);
    }
    if (at == text.size()) return more(last);
    const std::size_t inner = skip_spaces(text, at + 1);
    if (text[at] == '[' && inner == text.size()) return more(last);
    if (text[at] == '{' || (text[at] == '[' && text[inner] == '{')) return json(text, at, last);
    return marks_.closer.empty() ? no_call() : python(text, at, last);
  }

 private:
  static constexpr std::size_t kMaxFence = 16;

  CallAttempt json(std::string_view text, std::size_t begin, bool last) {
    const std::size_t end = notes_.json_end(text, begin);
    if (end == text.npos) return more(last);
    auto calls = calls_of(text.substr(begin, end - begin));
    if (calls.empty()) return no_call();
    std::size_t next = skip_spaces(text, end);
    const auto fence = stands(text, next, kFence);
    if (!fence && !last) return {};
    if (fence.value_or(false)) next = skip_spaces(text, next + kFence.size());
    const auto closed =
        marks_.closer.empty() ? std::optional(false) : stands(text, next, marks_.closer);
    if (!closed && !last) return {};
    if (closed == false && !marks_.closer.empty()) return no_call();
    // Without its closing marker it ends the answer.
    const std::size_t bytes = closed.value_or(false) ? next + marks_.closer.size()
                              : closed               ? (fence.value_or(false) ? next : end)
                                                     : text.size();
    return {CallAttempt::kCalls, bytes, std::move(calls)};
  }

  std::vector<ToolCall> calls_of(std::string_view text) const {
    if (!marks_.keyed) return calls_from_text(text, marks_.offered ? &tools_ : nullptr);
    const auto list = json_or_python(text);
    std::vector<ToolCall> calls;
    for (const Json& each : list && list->is_array() ? *list : Json::array()) {
      if (!each.is_object() || each.size() != 1 || !each.begin()->is_object()) return {};
      calls.push_back({"", each.begin().key(), dump_json(*each.begin())});
    }
    return calls;
  }

  CallAttempt python(std::string_view text, std::size_t begin, bool last) {
    const std::size_t end = notes_.find(text, marks_.closer, begin);
    if (end == text.npos && !last) return {};
    auto calls = python_calls(text.substr(begin, end == text.npos ? end : end - begin));
    if (!calls || calls->empty()) return no_call();
    return {CallAttempt::kCalls, end == text.npos ? text.size() : end + marks_.closer.size(),
            std::move(*calls)};
  }

  const ListMarks& marks_;
  const OfferedTools& tools_;
  CallNotes& notes_;
};

}  // namespace

std::unique_ptr<CallReader> lfm_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kLfm, tools, notes);
}
std::unique_ptr<CallReader> command_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kCommand, tools, notes);
}
std::unique_ptr<CallReader> command_r_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kCommandR, tools, notes);
}
std::unique_ptr<CallReader> nemotron_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kNemotron, tools, notes);
}
std::unique_ptr<CallReader> apertus_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kApertus, tools, notes);
}
std::unique_ptr<CallReader> granite_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kGranite, tools, notes);
}
std::unique_ptr<CallReader> tool_calls_calls(const OfferedTools& tools, CallNotes& notes) {
  return std::make_unique<List>(kToolCalls, tools, notes);
}

}  // namespace lathe::infer
