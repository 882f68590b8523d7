// How a family writes calls, in words, for a grammar that holds an answer to them. In all words
// "{#}" stands for a number and "{id}" for nine letters and digits. Immutable.
#pragma once

#include <string_view>
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
  // What the model may think in front of its call.
  std::string_view thought_open = {}, thought_end = {};

  bool operator==(const CallForm&) const = default;
};

// What is asked of the calls.
struct CallDemand {
  bool several = false;  // one call or more; else one
  bool strict = false;   // what a grammar cannot keep of the parameters' schemas is an error
  std::string_view thinking_end = {};  // what ends the thinking that the prompt opened; empty: none
};

}  // namespace lathe::infer
