// Lines are replaced where they stand once, and no other byte changes.
#include "loop/makers/code_patch.h"

#include <gtest/gtest.h>

#include "ground/base/random.h"

namespace lathe::loop {
namespace {

std::string replaced(std::string_view text, std::string_view before, std::string_view after) {
  const auto made =
      replace_lines("a.c", text, {{std::string(before), std::string(after), 0, false}});
  return made ? *made : "refused: " + made.error().message;
}

std::string patched(std::string_view text, std::string_view diff) {
  const auto hunks = parse_hunks(diff);
  if (!hunks) return "refused: " + hunks.error().message;
  const auto made = replace_lines("a.c", text, *hunks);
  return made ? *made : "refused: " + made.error().message;
}

TEST(ReplaceLines, TouchesNothingElse) {
  EXPECT_EQ(replaced("a\nb\nc\n", "b\n", "x\ny\n"), "a\nx\ny\nc\n");
  EXPECT_EQ(replaced("a\r\nb\r\nc\r\n", "b\n", "x\ny\n"), "a\r\nx\r\ny\r\nc\r\n");
  EXPECT_EQ(replaced("\xEF\xBB\xBF"
                     "a\nb\n",
                     "a\n", "x\n"),
            "\xEF\xBB\xBFx\nb\n");
  EXPECT_EQ(replaced("a\nb", "b\n", "x\n"), "a\nx");
  EXPECT_EQ(replaced("a\nb", "b\n", "x\ny\n"), "a\nx\ny");
  EXPECT_EQ(replaced("a\nb", "b\n", ""), "a");
  EXPECT_EQ(replaced("a\r\nb\nc\r\n", "b\nc\n", "b\nx\nc\n"), "a\r\nb\nx\nc\r\n");
  EXPECT_EQ(replaced("a\rb\nc\n", "c\n", "d\n"), "a\rb\nd\n");
  // Blanks at the end of a line count only where they tell two places apart.
  EXPECT_EQ(replaced("a  \nb\t\nc\n", "a\nb\n", "a\nx\n"), "a  \nx\nc\n");
}

TEST(ReplaceLines, RefusesWhatIsNotThereOrStandsTwice) {
  EXPECT_NE(replaced("int a;\nint b;\n", "int c = 1;\n", "x\n").find("stands nowhere"),
            std::string::npos);
  EXPECT_NE(replaced("alpha(1);\nbeta(2);\n", "alpha(2);\n", "x\n").find("line 1: alpha(1);"),
            std::string::npos);
  EXPECT_NE(replaced("a\nb\na\n", "a\n", "x\n").find("2 times (lines 1 and 3)"), std::string::npos);
  EXPECT_NE(replaced("a\n", "", "x\n").find("not said where"), std::string::npos);
  EXPECT_EQ(replaced("", "", "x\n"), "x\n");
}

TEST(SearchBlocks, AreReadAsModelsWriteThem) {
  const auto blocks = parse_search_blocks(
      "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n\n<<<<<<<< ORIGINAL\n\n=======\n>>>>>>>> "
      "UPDATED\n");
  ASSERT_TRUE(blocks) << blocks.error().message;
  ASSERT_EQ(blocks->size(), 2U);
  EXPECT_EQ((*blocks)[0].before, "a\n");
  EXPECT_EQ((*blocks)[0].after, "b\n");
  EXPECT_EQ((*blocks)[1].before, "\n");
  for (const char* text : {"<<<<<<< SEARCH\na\n", "<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n",
                           "<<<<<<< SEARCH\na\n=======\nb\n",
                           "<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> "
                           "REPLACE\n",
                           "<<<<<<< SEARCH\na\n=======\nb\n<<<<<<< SEARCH\n>>>>>>> REPLACE\n",
                           "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\nand then\n"})
    EXPECT_FALSE(parse_search_blocks(text)) << text;
}

TEST(Hunks, Apply) {
  EXPECT_EQ(patched("a\nb\nc\n", "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"),
            "a\nx\nc\n");
  // Counts and lines are often wrong; without a header it is one hunk; blank context lines lose
  // their blank.
  EXPECT_EQ(patched("a\n\nb\nc\n", "@@ -70,9 +3,3 @@ f()\n a\n\n-b\n+x\n"), "a\n\nx\nc\n");
  EXPECT_EQ(patched("    return a - b\n", "-    return a - b\n+    return a + b\n"),
            "    return a + b\n");
  EXPECT_EQ(patched("a\nb\n", "@@ -1,0 +2 @@\n+x\n"), "a\nx\nb\n");
  EXPECT_EQ(patched("a\nb\n", "@@ -0,0 +1 @@\n+x\n"), "x\na\nb\n");
  // The line decides between equal places, counted in the file as it was.
  EXPECT_EQ(patched("a\nb\na\nb\n", "@@ -1,0 +1,2 @@\n+n\n+n\n@@ -4 +6 @@\n-b\n+x\n"),
            "a\nn\nn\nb\na\nx\n");
  EXPECT_NE(patched("a\na\n", "@@ @@\n-a\n+x\n").find("2 times"), std::string::npos);
  // A removed comment of SQL looks like a header.
  EXPECT_EQ(patched("-- old\nx\n", "@@ -1,2 +1,1 @@\n--- old\n x\n"), "x\n");
  EXPECT_EQ(patched("a\r\nb\r\n", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"), "a\r\nc\r\n");
  EXPECT_EQ(patched("a\nb", "@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+c\n"), "a\nc");
  for (const char* diff : {"@@ -1 +1 @@\n a\n", "", "@@ -1 +1 @@\nnonsense\n",
                           "rename from a\nrename to b\n", "@@ -1 +1 @@\n+x\n"})
    EXPECT_TRUE(patched("a\nb\n", diff).starts_with("refused: ")) << diff;
}

TEST(Hunks, LookLikeThemselves) {
  for (const char* text :
       {"--- a/x\n+++ b/x\n", "diff --git a/x b/x\n", "\n@@ -1 +1 @@\n", "*** Begin Patch\n"})
    EXPECT_TRUE(looks_like_diff(text)) << text;
  for (const char* text : {"", "--- x\n", "- a\n+ b\n", "---\ntitle: x\n---\n", "@decorator\n"})
    EXPECT_FALSE(looks_like_diff(text)) << text;
}

TEST(ReplaceAllLines, KeepsTheFormOfTheFile) {
  EXPECT_EQ(replace_all_lines("a\r\nb\r\n", "a\nx\n"), "a\r\nx\r\n");
  EXPECT_EQ(replace_all_lines("\xEF\xBB\xBF"
                              "a\r\nb",
                              "a\nx\n"),
            "\xEF\xBB\xBF"
            "a\r\nx");
  EXPECT_EQ(replace_all_lines("a\n\tb\nc", "a\n\tb\nc\n"), "a\n\tb\nc");
  EXPECT_EQ(replace_all_lines("a\r\nb\nc\r\nd\n", "a\nb\nx\nc\nd\n"), "a\r\nb\nx\nc\r\nd\n");
  EXPECT_EQ(replace_all_lines("", "a\n"), "a\n");
  for (const char* same : {"a\r", "\r", "a\n\r", "a\r\r", "a\r\nb\r", "a\r\n\r", "\r\r\nR\nR",
                           "\xEF\xBB\xBF\xEF\xBB\xBF@"})
    EXPECT_EQ(replace_all_lines(same, shown_text(same)), same);
}

// Random texts in random forms: what is not said to change keeps its bytes.
TEST(ReplaceAllLines, OtherLinesKeepTheirBytes) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::uint64_t place = 0;
    const auto below = [&](std::uint64_t n) { return random_at(seed, 1, ++place) % n; };
    std::string text = below(3) == 0 ? "\xEF\xBB\xBF" : "", fresh, wanted = text;
    const auto count = below(12);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string line = "line " + std::to_string(i);
      const bool last = i + 1 == count;
      const std::string end = last && below(2) == 0 ? "" : below(2) == 0 ? "\r\n" : "\n";
      text += line + end;
      wanted += line + end;
      fresh += line + "\n";
    }
    EXPECT_EQ(replace_all_lines(text, fresh), wanted) << seed;
    if (count < 3) continue;
    const std::string target = "line " + std::to_string(1 + below(count - 2));
    const auto made = replace_lines("x", text, {{target + "\n", "new\n", 0, false}});
    ASSERT_TRUE(made);
    // Exactly that line's words, and at most its end, differ.
    const auto at = text.find(target);
    EXPECT_EQ(made->substr(0, at), text.substr(0, at));
    const auto rest = text.substr(text.find('\n', at) + 1);
    EXPECT_TRUE(made->ends_with(rest)) << seed;
  }
}

TEST(ReplacementBetween, IsFoundAgain) {
  const std::string before = "a\nb\na\nb\nc\n";
  for (const char* after :
       {"a\nb\na\nx\nc\n", "a\nb\na\nb\n", "n\na\nb\na\nb\nc\n", "a\nb\na\nb\nc\nn\n", "x\n"}) {
    const auto found = replacement_between(before, after);
    ASSERT_TRUE(found) << after;
    EXPECT_EQ(replace_lines("x", before, {*found}).value(), after);
  }
  EXPECT_FALSE(replacement_between("", "a\n"));
  EXPECT_FALSE(replacement_between("a\n", "a"));
  EXPECT_FALSE(replacement_between("a\n", "a\r\n"));
}

}  // namespace
}  // namespace lathe::loop
