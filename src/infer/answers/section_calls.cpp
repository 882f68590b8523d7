// Calls one after another between control tokens, the arguments of each as JSON: DeepSeek's up to
// V3.1 and Kimi's.
#include <cctype>

#include "infer/answers/answer_calls.h"

namespace lathe::infer {
namespace {

struct SectionMarks {
  std::string_view section, section_end;  // around all calls; may be missing
  std::string_view call, separator, call_end;
};

constexpr SectionMarks kDeepSeek{"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
                                 "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"};
constexpr SectionMarks kKimi{"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
                             "<|tool_call_begin|>", "<|tool_call_argument_begin|>",
                             "<|tool_call_end|>"};
constexpr std::string_view kFence = "```";
constexpr std::size_t kMaxWord = 256;

// V3 and R1 write what is called before its name, and fence the arguments.
constexpr std::string_view kKind = "function";

// functions.NAME:3 is the whole name of a call, by which its result is known.
ToolCall named(std::string_view word) {
  static constexpr std::string_view kFunctions = "functions.";
  const std::size_t colon = word.rfind(':');
  const bool counted = colon != word.npos && colon + 1 < word.size() &&
                       word.find_first_not_of("0123456789", colon + 1) == word.npos;
  if (!word.starts_with(kFunctions) || !counted) return {"", std::string(word), ""};
  return {std::string(word), std::string(word.substr(kFunctions.size(), colon - kFunctions.size())),
          ""};
}

class Section final : public CallReader {
 public:
  Section(const SectionMarks& marks, CallNotes& notes) : marks_(marks), notes_(notes) {}

  CallAttempt read(std::string_view text, bool last) override {
    const bool wrapped = text.starts_with(marks_.section);
    const std::size_t begin = wrapped ? skip_spaces(text, marks_.section.size()) : 0;
    const auto opened = stands(text, begin, marks_.call);
    if (!opened) return more(last);
    if (!*opened) return no_call();
    std::size_t at = begin + marks_.call.size();
    auto name = word(text, at, marks_.separator);
    if (!name) return more(last);
    if (name == kKind && at == text.size()) return more(last);
    if (name == kKind && text[at] != '{') name = word(text, at, "\n");
    if (!name) return more(last);
    if (name->empty()) return no_call();
    ToolCall call = named(*name);
    if (call.name.empty()) return no_call();
    at = skip_spaces(text, at);
    const auto fenced = stands(text, at, kFence);
    if (!fenced) return more(last);
    if (*fenced) {
      const std::size_t line = text.substr(0, at + kMaxWord).find('\n', at);
      if (line == text.npos) return text.size() < at + kMaxWord ? more(last) : no_call();
      at = skip_spaces(text, line);
    }
    if (at == text.size()) return more(last);
    if (text[at] != '{') return no_call();
    const std::size_t end = notes_.json_end(text, at);
    if (end == text.npos) return more(last);
    const auto arguments = json_or_python(text.substr(at, end - at));
    if (!arguments || !arguments->is_object()) return no_call();
    call.arguments = dump_json(*arguments);
    return close(text, end, *fenced, std::move(call), last);
  }

 private:
  // What stands on one line up to `end`, `at` behind it; empty: no word; nothing: not clear yet.
  static std::optional<std::string> word(std::string_view text, std::size_t& at,
                                         std::string_view end) {
    for (std::size_t here = at; here < at + kMaxWord; ++here) {
      const auto found = stands(text, here, end);
      if (!found) return std::nullopt;
      if (*found) {
        std::string word(text.substr(at, here - at));
        at = here + end.size();
        return word;
      }
      if (std::isspace(static_cast<unsigned char>(text[here])) != 0) return "";
    }
    return "";
  }

  // The arguments end at `at`; closing markers may be missing where the next one, or the end of the
  // answer, shows that nothing is cut off.
  CallAttempt close(std::string_view text, std::size_t at, bool fenced, ToolCall call, bool last) {
    std::size_t next = skip_spaces(text, at);
    if (fenced) {
      const auto fence = stands(text, next, kFence);
      if (!fence && !last) return {};
      if (fence.value_or(false)) next = skip_spaces(text, next + kFence.size());
    }
    const auto ended = stands(text, next, marks_.call_end);
    if (!ended && !last) return {};
    if (ended.value_or(false)) {
      at = next + marks_.call_end.size();
      next = skip_spaces(text, at);
    } else if (ended) {
      const std::string_view others[] = {marks_.call, marks_.section_end};
      const auto other = one_stands(text, next, others);
      if (!other && !last) return {};
      if (other == false) return no_call();
    } else {
      at = text.size();
    }
    const auto closed = stands(text, next, marks_.section_end);
    if (!closed && !last) return {};
    if (closed.value_or(false)) at = next + marks_.section_end.size();
    if (!closed) at = text.size();
    return {CallAttempt::kCalls, at, {std::move(call)}};
  }

  const SectionMarks& marks_;
  CallNotes& notes_;
};

}  // namespace

std::unique_ptr<CallReader> deepseek_calls(const OfferedTools& /*tools*/, CallNotes& notes) {
  return std::make_unique<Section>(kDeepSeek, notes);
}
std::unique_ptr<CallReader> kimi_calls(const OfferedTools& /*tools*/, CallNotes& notes) {
  return std::make_unique<Section>(kKimi, notes);
}

}  // namespace lathe::infer
