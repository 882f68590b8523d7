// What a model wrote → what it meant: visible text, thinking, tool calls; piece by piece while it
// writes. The format follows from the chat template (the same markers it renders). Calls are never
// invented: text that opens a call and does not finish as one comes out as text. However the text
// is cut into pieces, the deltas joined are the same. Fed with what a TextStream gives: it shows
// the markers and hides the end tokens. Not thread-safe: one parser per answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "infer/answers/answer_format.h"

namespace lathe::infer {

struct ToolCall {
  std::string id;  // as the model gave it, else ""
  std::string name;
  std::string arguments;  // a JSON object
};

struct AnswerDelta {
  std::string text;
  std::string thinking;
  std::vector<ToolCall> calls;  // complete ones
};

// A function that the model was told of.
struct OfferedTool {
  std::string name;
  Json parameters = {};  // a JSON schema of its arguments; null: nothing is known
  bool free = false;     // a grammar leaves its arguments to the model where the form allows that

  bool operator==(const OfferedTool&) const = default;
};

// What was asked, as far as it decides how the answer is read.
struct AnswerOptions {
  AnswerFormat format = AnswerFormat::kPlain;
  bool starts_thinking = false;  // the prompt already opened the thinking block
  // None: the answer has no calls, whatever it looks like.
  std::vector<OfferedTool> tools = {};
  // A grammar holds it: behind thinking and what opens the text all is text, whatever it looks
  // like.
  bool held = false;
  // … and that text is one call as plain JSON: {"name": …, "arguments": {…}}. What is cut off
  // before its end is text.
  bool one_call = false;
};

// White space around thinking and next to a call is dropped; all else that is no marker comes out.
class AnswerParser {
 public:
  static std::unique_ptr<AnswerParser> make(AnswerOptions options);
  virtual ~AnswerParser() = default;
  virtual AnswerDelta push(std::string_view text) = 0;
  virtual AnswerDelta finish() = 0;
};

}  // namespace lathe::infer
