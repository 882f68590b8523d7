// How a family writes calls, in words, for a grammar that holds an answer to them. In all words
// "{#}" stands for a number and "{id}" for nine letters and digits. Immutable.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::infer {

struct CallForm {
  std::string_view begin = {}, end = {};  // around all calls of an answer
  std::string_view between = {};          // two of them
  bool single = false;                    // an answer has one call
  // A call: open NAME name_end ARGUMENTS close.
  std::string_view open = {}, name_end = {}, close = {};
  // The arguments are a JSON object, unless there are words for parameter after parameter:
  // key_open KEY key_end VALUE value_end.
  std::string_view key_open = {}, key_end = {}, value_end = {}, key_between = {};
  std::string_view text_key_end = {};  // key_end where the value is a text
  // Texts stand as they are and hold none of these words; other values are JSON. None: all are
  // JSON.
  std::vector<std::string_view> raw_ends = {};
  // In what is written like JSON, texts stand as they are between these, and names are bare; a text
  // holds none of raw_ends. Empty: it is JSON.
  std::string_view text_quote = {};
  // Another way to write open and name_end, where there are two.
  std::string_view other_open = {}, other_name_end = {};

  bool operator==(const CallForm&) const = default;
};

// What stands in front of what a grammar holds an answer to: thinking, and what opens the text.
struct AnswerLead {
  // What opens thinking and what ends it; none: there is none. The model may open one of them, or
  // the prompt has opened the first.
  std::vector<std::pair<std::string_view, std::string_view>> thoughts = {};
  bool opened = false;
  std::vector<std::string_view> never = {};  // what no thinking holds
  std::vector<std::string_view> text_opens = {};
  bool must_open = false;  // one of text_opens has to stand there

  bool operator==(const AnswerLead&) const = default;
};

// The text around calls that a model makes of its own accord: it holds none of the words `never`.
// Where the form has messages, each is one of `opens`, a text, and `end` before the next one.
struct FreeText {
  std::vector<std::string_view> never = {};
  std::vector<std::string_view> opens = {};
  std::string_view end = {};
};

// What is asked of the calls.
struct CallDemand {
  bool several = false;  // one call or more; else one
  bool strict = false;   // what a grammar cannot keep of the parameters' schemas is an error
  AnswerLead lead = {};  // of which only the thinking
  // Texts may stand around the calls, and there need not be any.
  std::optional<FreeText> free = {};
};

}  // namespace lathe::infer
