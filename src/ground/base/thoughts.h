// The thinking that a model writes in front of its answer, in marks of its own: "<think>…</think>".
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace lathe {

inline constexpr std::pair<std::string_view, std::string_view> kThoughtMarks[] = {
    {"<think>", "</think>"},         {"[THINK]", "[/THINK]"},
    {"<thinking>", "</thinking>"},   {"<thought>", "</thought>"},
    {"<reasoning>", "</reasoning>"}, {"<seed:think>", "</seed:think>"}};

struct SplitAnswer {
  std::string text;
  std::string thoughts;
};

// Splits an answer while it comes: what stands in marks at its head (white space before it, one
// block or several) is thinking, all else is text. Marks further down are text: an answer may speak
// of them. However the answer is cut into pieces, what comes out put together is the same.
class ThoughtSplitter {
 public:
  SplitAnswer push(std::string_view piece);
  SplitAnswer finish();  // a block that was never closed is thinking

 private:
  enum class State { kHead, kThoughts, kText };
  SplitAnswer run(bool last);

  State state_ = State::kHead;
  bool after_thoughts_ = false;
  std::string_view close_;
  std::string pending_;
};

// The same for a whole answer, and one thing more: where the prompt itself opened the thinking, the
// answer begins within it. A closing mark alone on its line, with no opening one before it, ends
// it.
SplitAnswer split_thoughts(std::string_view answer);

}  // namespace lathe
