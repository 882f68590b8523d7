// What of an answer is the work: thoughts, talk and fences around it.
#include "loop/makers/answer.h"

#include <gtest/gtest.h>

namespace lathe::loop {
namespace {

TEST(WithoutThoughts, LeavesTheAnswer) {
  for (const char* reply :
       {"<think>hm</think>answer", "<think>\nLet me\n```\nx\n```\n</think>\n\nanswer",
        "<THINK>x</THINK>\nanswer", "[THINK]x[/THINK]answer", "<thinking>x</thinking>answer",
        "<think>a</think><think>b</think>answer", "  \n<think></think>\nanswer",
        "thoughts of a template that opened them\n</think>\n\nanswer",
        "\u25c1think\u25b7x\u25c1/think\u25b7answer", "answer<|im_end|>", "answer</s>\n",
        "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>answer"
        "<|return|>",
        "<reasoning>x</reasoning>\nanswer"}) {
    const auto text = without_thoughts(reply);
    ASSERT_TRUE(text) << reply << text.error().message;
    EXPECT_EQ(*text, "answer") << reply;
  }
}

TEST(WithoutThoughts, WhatIsNoThoughtStays) {
  for (const char* reply :
       {"answer", "", " a <think> b", "x = \"</think>\"; y", "a </think> b",
        "FILE: a.py\n```\nend = '''\n</think>\n'''\n```\n", "the mark <think>x</think> in a line"})
    EXPECT_EQ(without_thoughts(reply).value(), reply);
}

TEST(WithoutThoughts, ThoughtsWithoutAnEndAreNoAnswer) {
  for (const char* reply :
       {"<think>I am thinking about FILE: a\n", "[THINK] x", "<think>x</think>\n"})
    EXPECT_NE(without_thoughts(reply).error().message.find("all thoughts"), std::string::npos);
}

std::string only(std::string_view reply, std::string_view source = "") {
  const auto text = only_text(reply, source);
  return text ? *text : "refused: " + text.error().message;
}

TEST(OnlyText, TalkAndFencesAroundItAreLeftOut) {
  for (const char* reply :
       {"The text.\n\nMore.", "Sure! Here is the rewritten paragraph:\n\nThe text.\n\nMore.",
        "Sure! Here is the rewritten paragraph:\n\nThe text.\n\nMore.\n\nLet me know if you want "
        "changes.",
        "Here's the revised version:\n\n```\nThe text.\n\nMore.\n```",
        "Here is the revised text:\n```markdown\nThe text.\n\nMore.\n```\n\nLet me know if you'd "
        "like me to adjust the tone!",
        "```text\nThe text.\n\nMore.\n```", "~~~\nThe text.\n\nMore.\n~~~",
        "**Rewritten paragraph:**\n\nThe text.\n\nMore.", "Certainly:\n\nThe text.\n\nMore.",
        "Of course! Here you go:\n\n---\n\nThe text.\n\nMore.\n\n---\n\nI hope this helps!",
        "Natürlich! Hier ist die überarbeitete Fassung:\n\nThe text.\n\nMore.",
        "The text.\n\nMore.\n\n**Changes made:**\n- shorter\n- plainer",
        "The text.\n\nMore.\n\nWould you like me to make it shorter?"})
    EXPECT_EQ(only(reply), "The text.\n\nMore.") << reply;
}

TEST(OnlyText, WhatMayBeTheWorkStays) {
  for (const char* reply :
       {"Here are the dates:\n\n- Monday", "We need:\n\n- bread", "Sure-footed goats climb.",
        "Note: the shop is closed.", "Let me know if you can come.", "Dear all:\n\nCome.",
        "Text with `code`.\n\n```\nls\n```\n\nand more", "```a``` b", "Okay"})
    EXPECT_EQ(only(reply), reply) << reply;
  // What the source says is no talk.
  const char* letter = "Hi!\n\nLet me know if you want changes.";
  EXPECT_EQ(only(letter, "Hello!\n\nPlease let me know; let me know if you want changes."), letter);
  EXPECT_EQ(only("Sure! Here is the text:\n\nx", "Sure! Here is the text: x"),
            "Sure! Here is the text:\n\nx");
}

TEST(OnlyText, TalkWhoseEndIsNotSeenIsRefused) {
  for (const char* reply : {"Sure! I made it shorter.\n\nThe text.", "Certainly. The text.",
                            "Sure! Here is the rewritten text:",
                            "Here is the revised text:\n\n```\nThe text.\n```\n\nAnd it goes on."})
    EXPECT_TRUE(only(reply).starts_with("refused: ")) << reply << "\n" << only(reply);
}

}  // namespace
}  // namespace lathe::loop
