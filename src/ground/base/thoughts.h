// The thinking that a model writes in front of its answer, in marks of its own: "<think>…</think>".
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace lathe {

inline constexpr std::pair<std::string_view, std::string_view> kThoughtMarks[] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<thinking>", "</thinking>"},
    {"<thought>", "</thought>"},
    {"<thoughts>", "</thoughts>"},
    {"<reasoning>", "</reasoning>"},
    {"<reflection>", "</reflection>"},
    {"<scratchpad>", "</scratchpad>"},
    {"<seed:think>", "</seed:think>"},
    {"<think:opensource>", "</think:opensource>"},
    {"<mm:think>", "</mm:think>"},
    {"<|inner_prefix|>", "<|inner_suffix|>"},
    {"\u25c1think\u25b7", "\u25c1/think\u25b7"},
    {"<|begin_of_thought|>", "<|end_of_thought|>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<|channel|>analysis<|message|>", "<|channel|>final<|message|>"},
    {"<|channel>thought", "<channel|>"}};

struct SplitAnswer {
  std::string text;
  std::string thoughts;
};

// Splits an answer while it comes: what stands in marks at its head (white space before it, one
// block or several; ASCII letters of any case) is thinking, all else is text. Marks further down
// are text: an answer may speak of them. However the answer is cut into pieces, what comes out put
// together is the same.
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
// answer begins within it. A closing mark alone on its line and outside of fenced blocks, with no
// opening one before it, ends it.
SplitAnswer split_thoughts(std::string_view answer);

}  // namespace lathe
