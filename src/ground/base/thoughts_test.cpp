// Thinking at the head of answers: split off whole and in any pieces.
#include "ground/base/thoughts.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Thoughts, WhatStandsInMarksAtTheHeadIsSplitOff) {
  struct Case {
    std::string_view answer, text, thoughts;
  };
  const Case cases[] = {
      {"", "", ""},
      {"  plain\n", "  plain\n", ""},
      {"<think>a < b</think>\n\nthe answer\n", "the answer\n", "a < b"},
      {"\n <think>\nhm\n</think>{\"a\": 1}", "{\"a\": 1}", "\nhm\n"},
      {"[THINK]x[/THINK]y", "y", "x"},
      {"<thinking>x</thinking>y", "y", "x"},
      {"<think>a</think> <think>b</think>\nc", "c", "ab"},
      {"<think></think>\n\nc", "c", ""},
      {"<THINK>x</think>y", "y", "x"},
      {"<|START_THINKING|>x<|END_THINKING|>y", "y", "x"},
      {"```\n</think>\n```\n", "```\n</think>\n```\n", ""},
      {"<think>never closed FILE: a.py", "", "never closed FILE: a.py"},
      {"<thin", "<thin", ""},
      {"<thimble>", "<thimble>", ""},
      // Marks further down, or in words, are text.
      {"text <think>no</think>", "text <think>no</think>", ""},
      {"s = \"</think>\"\n", "s = \"</think>\"\n", ""},
      {"<p></think>\n", "<p></think>\n", ""},
      // The prompt opened the thinking.
      {"so it is\n</think>\n\nthe answer", "the answer", "so it is\n"},
      {"so it is\n  </think>  \nthe answer", "the answer", "so it is\n  "},
      {"so it is\n</think>", "", "so it is\n"},
      {"see <think>\n</think>\nx", "see <think>\n</think>\nx", ""},
  };
  for (const Case& test : cases) {
    const SplitAnswer whole = split_thoughts(test.answer);
    EXPECT_EQ(whole.text, test.text) << test.answer;
    EXPECT_EQ(whole.thoughts, test.thoughts) << test.answer;
  }
}

TEST(Thoughts, HoweverTheAnswerIsCut) {
  const std::string_view answer = " <think>a</thin b</think>\n<thinking>c</thinking>  <think d";
  for (std::size_t size = 1; size <= answer.size(); ++size) {
    ThoughtSplitter splitter;
    SplitAnswer all;
    const auto add = [&](const SplitAnswer& part) {
      all.text += part.text;
      all.thoughts += part.thoughts;
    };
    for (std::size_t i = 0; i < answer.size(); i += size)
      add(splitter.push(answer.substr(i, size)));
    add(splitter.finish());
    EXPECT_EQ(all.text, "<think d") << size;
    EXPECT_EQ(all.thoughts, "a</thin bc") << size;
  }
}

}  // namespace
}  // namespace lathe
