// One tool call in the text of an answer, read while it is still being written. Internal to this
// room. One thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "infer/answers/answer_parser.h"
#include "infer/answers/offered_tools.h"

namespace lathe::infer {

// Text that comes at its end and is taken away at its front, both in time linear in it.
class PendingText {
 public:
  void add(std::string_view text) {
    if (taken_ > text_.size() / 2) {
      text_.erase(0, taken_);
      taken_ = 0;
    }
    text_ += text;
  }
  void take(std::size_t bytes) { taken_ += bytes; }
  std::string_view view() const { return std::string_view(text_).substr(taken_); }

 private:
  std::string text_;
  std::size_t taken_ = 0;
};

// The tags of a form that writes a call parameter by parameter, as Qwen's are: <tool_call>,
// <function=N>, <parameter=P>, and what closes each. Empty: the form has no such tag.
struct CallTags {
  std::string_view call = {}, call_end = {};
  // Without a tag of its own the function's name follows that of the call.
  std::string_view function = {}, name_end = {}, function_end = {};
  std::string_view parameter = {}, key_end = {}, value = {}, parameter_end = {};
  std::string_view text_key_end = {};  // the key's end where the value is a text, whatever it holds
  bool lines = false;                  // a value stands on lines of its own
  bool json = false;                   // what the form writes is JSON in the call's tags
};

// What has been learnt of an answer's text while calls were looked for in it, so that an answer
// full of calls that never end is read in linear time. The text grows at its end and is taken away
// at its front; places are those in the text as it is now.
class CallNotes {
 public:
  // Where the JSON object or list that begins at `begin` ends; npos: not yet.
  std::size_t json_end(std::string_view text, std::size_t begin);

  // Places from which on there are no parameters of a call: nobody need try again.
  bool is_dead(std::size_t place) const { return dead_.contains(gone_ + place); }
  void set_dead(std::size_t place) { dead_.insert(gone_ + place); }
  // Where the value of a parameter that begins at `from` ends, with or without its closing tag;
  // nothing: not yet.
  struct ValueEnd {
    std::size_t end, next;  // of the value, and of what comes then
    bool closed;            // by its own tag
  };
  std::optional<ValueEnd> value_end(std::string_view text, std::size_t from, const CallTags& tags,
                                    bool last);

  // Where the first `marker` at or behind `from` begins, of a parser always the same; npos: there
  // is none yet.
  std::size_t find(std::string_view text, std::string_view marker, std::size_t from);

  // Whether what the last call stood in goes on behind it.
  bool section_open = false;

  // The first bytes of the text were taken away.
  void drop(std::size_t bytes) { gone_ += bytes; }
  // Bytes looked at so far.
  std::size_t steps() const { return steps_; }

 private:
  void index(std::string_view text);

  std::size_t gone_ = 0, steps_ = 0;  // places below count what is gone too
  // The value that was asked for last, each byte of it looked at once while it grows.
  std::size_t begin_ = std::string_view::npos, at_ = 0;
  int depth_ = 0;
  bool string_ = false, escaped_ = false;
  // For each byte that was there when another value was asked for: the bracket that closes what is
  // open there.
  std::size_t indexed_ = 0;
  std::vector<std::size_t> closer_;
  std::size_t unended_ = 0, ended_ = 0;        // value_end() has none between these
  std::size_t clear_from_ = 0, clear_to_ = 0;  // nor find()
  std::unordered_set<std::size_t> dead_;
};

// How far a text that opens a call has come.
struct CallAttempt {
  enum Outcome { kMore, kNoCall, kCalls } outcome = kMore;
  std::size_t bytes = 0;  // of the text, marker included; kCalls
  std::vector<ToolCall> calls;
};

class CallReader {
 public:
  virtual ~CallReader() = default;
  // `text` begins with a marker of openers() and only ever grows, until `last`.
  virtual CallAttempt read(std::string_view text, bool last) = 0;
};

CallAttempt no_call();
// Not clear yet; at the end of the answer, no call.
CallAttempt more(bool last);

// The readers of the forms, each in a file of its own.
std::unique_ptr<CallReader> hermes_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> qwen_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> seed_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> minimax_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> dsml_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> dsml4_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> glm_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> hunyuan_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> mistral_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> deepseek_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> kimi_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> lfm_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> command_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> command_r_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> nemotron_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> apertus_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> granite_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> tool_calls_calls(const OfferedTools& tools, CallNotes& notes);
std::unique_ptr<CallReader> gemma_calls(const OfferedTools& tools, CallNotes& notes);

// {"name": …, "arguments" or "parameters": {…}, "id": …}, the name in "function" too, as JSON or as
// Python writes it; nothing: not a call. Without `offered` any name is one, and no arguments are
// none; with it the name must be one of these and the arguments be there.
std::optional<ToolCall> call_from_json(const Json& json, const OfferedTools* offered);
std::optional<ToolCall> call_from_text(std::string_view text, const OfferedTools* offered);
// The same of a list of them, or of one.
std::vector<ToolCall> calls_from_text(std::string_view text, const OfferedTools* offered);

std::optional<Json> json_or_python(std::string_view text);

std::size_t skip_spaces(std::string_view text, std::size_t at);
// Does `marker` stand at `at`? Nothing: what is there may still become it.
std::optional<bool> stands(std::string_view text, std::size_t at, std::string_view marker);
// The same of any of them but empty ones.
std::optional<bool> one_stands(std::string_view text, std::size_t at,
                               std::span<const std::string_view> markers);

// Length of the longest end of `text` that may become one of `markers`.
std::size_t marker_start(std::string_view text, const std::vector<std::string_view>& markers);
// The first of them in `text`: place and which; npos where there is none.
std::pair<std::size_t, std::size_t> find_marker(std::string_view text,
                                                const std::vector<std::string_view>& markers);

// `held`: AnswerOptions.
std::unique_ptr<AnswerParser> make_harmony_parser(std::span<const OfferedTool> tools, bool held);

}  // namespace lathe::infer
