// One tool call in the text of an answer, read while it is still being written. Internal to this
// room. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "infer/text/answer_parser.h"

namespace lathe {

// Finds the end of a JSON value in a growing text, each byte looked at once.
class JsonScan {
 public:
  // Where the value that begins at `begin` ends; npos: not yet. `text` only ever grows.
  std::size_t end(std::string_view text, std::size_t begin);

 private:
  std::size_t at_ = 0;
  int depth_ = 0;
  bool string_ = false, escaped_ = false;
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

// The markers that open a call in this format; none: the format has no calls in its text.
std::vector<std::string_view> call_openers(AnswerFormat format);
std::unique_ptr<CallReader> make_call_reader(AnswerFormat format, const Json& tools);

// {"name": …, "arguments" or "parameters": {…}, "id": …}; nullopt: not a call.
std::optional<ToolCall> tool_call_from_json(const Json& json);
std::optional<ToolCall> call_from_text(std::string_view json);

std::size_t skip_spaces(std::string_view text, std::size_t at);

// Length of the longest end of `text` that may become one of `markers`.
std::size_t marker_start(std::string_view text, const std::vector<std::string_view>& markers);
// The first of them in `text`: place and which; npos where there is none.
std::pair<std::size_t, std::size_t> find_marker(std::string_view text,
                                                const std::vector<std::string_view>& markers);

std::unique_ptr<AnswerParser> make_harmony_parser();

}  // namespace lathe
