// Edits as models write them, and what is only talk.
#include "loop/makers/code_reply.h"

#include <gtest/gtest.h>

namespace lathe::loop {
namespace {

const std::vector<std::string> kKnown{
    "src/a.cpp", "src/b.cpp", "src/a.py",    "old.txt", "a",    "src/m.py", "README.md",
    "_a b.md",   "w x.c",     "__init__.py", "_a.py",   "a.md", "a.c"};

Result<std::vector<Edit>> parsed(std::string_view reply) {
  return parse_code_reply(reply, kKnown);
}

std::string error_of(std::string_view reply) {
  const auto edits = parsed(reply);
  return edits ? "" : edits.error().message;
}

TEST(CodeReply, ReadsEveryKindOfEdit) {
  const auto edits = parsed(
      "Here is the fix.\n\nFILE: src/a.cpp\n```cpp\nint a;\n\nint b;\n```\nand\n"
      "FUNCTION: src/b.cpp Parser::next()\n```\nint next() {}\n```\nDELETE: old.txt\n");
  ASSERT_TRUE(edits) << edits.error().message;
  ASSERT_EQ(edits->size(), 3U);
  EXPECT_EQ((*edits)[0].path, "src/a.cpp");
  EXPECT_EQ((*edits)[0].code, "int a;\n\nint b;\n");
  EXPECT_EQ((*edits)[1].kind, Edit::Kind::kFunction);
  EXPECT_EQ((*edits)[1].function, "Parser::next()");
  EXPECT_EQ((*edits)[2].kind, Edit::Kind::kDelete);
  EXPECT_EQ((*edits)[2].path, "old.txt");
}

TEST(CodeReply, TakesWhatModelsMakeOfTheForm) {
  for (const char* line : {"**FILE: `src/a.py`**", "### FILE: src/a.py", "`FILE: src/a.py`",
                           "FILE: ./src/a.py", "FILE:src/a.py", "  FILE: src/a.py  "}) {
    const auto edits = parsed(std::string(line) + "\n\n```python\nx = 1\n```\n");
    ASSERT_TRUE(edits) << line << ": " << edits.error().message;
    EXPECT_EQ(edits->front().path, "src/a.py") << line;
  }
  // A name may begin with underscores.
  EXPECT_EQ(parsed("**FILE: `__init__.py`**\n```\nx\n```\n")->front().path, "__init__.py");
  EXPECT_EQ(parsed("FUNCTION: _a.py __init__\n```\nx\n```\n")->front().function, "__init__");
  const auto windows = parsed("FILE: a\r\n```\r\nx\r\n```\r\n");
  ASSERT_TRUE(windows);
  EXPECT_EQ(windows->front().code, "x\n");
}

TEST(CodeReply, LongerFencesHoldShorterOnes) {
  const auto edits = parsed("FILE: a.md\n````md\ntext\n```sh\nls\n```\nFILE: not.this\n````\n");
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_EQ(edits->front().code, "text\n```sh\nls\n```\nFILE: not.this\n");
}

TEST(CodeReply, ReadsWhatItWrites) {
  const std::vector<Edit> edits{
      {Edit::Kind::kFile, "_a b.md", "", "text\n```sh\nls\n```\n````\nFILE: not.this\n"},
      {Edit::Kind::kFile, "empty", "", ""},
      {Edit::Kind::kFunction, "ü.py", "_C.__init__", "  def __init__(self):\n    pass\n"},
      {Edit::Kind::kReplace,
       "w x.c",
       "",
       "",
       {{"a\n```\n", "", 0, false}, {"b\n", "c\n", 0, false}}},
      {Edit::Kind::kDelete, "ü.py", "gone"},
      {Edit::Kind::kDelete, "__old__.py"}};
  const std::vector<std::string> known{"_a b.md", "w x.c", "ü.py", "__old__.py"};
  const auto read = parse_code_reply(write_code_reply(edits), known);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), edits.size());
  for (std::size_t i = 0; i < edits.size(); ++i) {
    EXPECT_EQ((*read)[i].kind, edits[i].kind);
    EXPECT_EQ((*read)[i].path, edits[i].path);
    EXPECT_EQ((*read)[i].function, edits[i].function);
    EXPECT_EQ((*read)[i].code, edits[i].code);
    ASSERT_EQ((*read)[i].replacements.size(), edits[i].replacements.size());
    for (std::size_t k = 0; k < edits[i].replacements.size(); ++k) {
      EXPECT_EQ((*read)[i].replacements[k].before, edits[i].replacements[k].before);
      EXPECT_EQ((*read)[i].replacements[k].after, edits[i].replacements[k].after);
    }
  }
}

TEST(CodeReply, BlocksWithoutAnnouncementAreTalk) {
  const auto edits = parsed("Run:\n```sh\nmake\n```\nFILE: a\n```\nx\n```\n");
  ASSERT_TRUE(edits);
  EXPECT_EQ(edits->size(), 1U);
}

TEST(CodeReply, ErrorsSayWhatIsMissing) {
  EXPECT_NE(error_of("").find("no edit"), std::string::npos);
  EXPECT_NE(error_of("I think the code is right.").find("no edit"), std::string::npos);
  EXPECT_NE(error_of("```\nx\n```").find("no edit"), std::string::npos);
  EXPECT_NE(error_of("FILE: a\n```\nx\n").find("cut off"), std::string::npos);
  EXPECT_NE(error_of("FILE: a\n").find("no fenced block follows"), std::string::npos);
  EXPECT_NE(error_of("FILE: a\nFILE: b\n```\nx\n```\n").find("'a'"), std::string::npos);
  EXPECT_NE(error_of("FUNCTION: a.c\n```\nx\n```\n").find("names no function"), std::string::npos);
  EXPECT_NE(error_of("FILE: a\n```\nx\n```\nFILE: a\n```\ny\n```\n").find("twice"),
            std::string::npos);
  EXPECT_NE(error_of("FUNCTION: a f\n```\nx\n```\nFILE: a\n```\ny\n```\n").find("twice"),
            std::string::npos);
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "a//b", "."})
    EXPECT_NE(error_of(fmt::format("FILE: {}\n```\nx\n```\n", path)).find("inside the project"),
              std::string::npos)
        << path;
  std::string many;
  for (int i = 0; i < 300; ++i) many += fmt::format("DELETE: f{}\n", i);
  EXPECT_NE(error_of(many).find("more than"), std::string::npos);
}

// "kind path": what the only edit of an answer is.
std::string only_edit(std::string_view reply) {
  const auto edits = parsed(reply);
  if (!edits) return "refused: " + edits.error().message;
  if (edits->size() != 1) return fmt::format("{} edits", edits->size());
  const Edit& edit = edits->front();
  std::string text = edit.kind == Edit::Kind::kFile      ? "file " + edit.path + "|" + edit.code
                     : edit.kind == Edit::Kind::kReplace ? "lines " + edit.path
                     : edit.kind == Edit::Kind::kDelete  ? "delete " + edit.path
                                                         : "function " + edit.path;
  for (const Replacement& each : edit.replacements) text += "|" + each.before + ">" + each.after;
  return text;
}

TEST(CodeReply, HeadersNameTheKnownFile) {
  for (const char* header : {"FILE: src/m.py (2 lines)",
                             "**FILE: `src/m.py`** (updated)",
                             "FILE: src/m.py:",
                             "FILE: \"src/m.py\"",
                             "FILE: 'src/m.py'",
                             "FILE: [src/m.py](src/m.py)",
                             "FILE: src\\m.py",
                             "FILE: ./src/m.py",
                             "FILE: src/m.py (new file)",
                             "FILE: `src/m.py`:",
                             "FILE: src/m.py - the fix",
                             "FILE: src/m.py # fixed",
                             "FILE: src/m.py updated",
                             "FILE: **src/m.py**",
                             "## FILE: src/m.py [modified]",
                             "FILE: \u201csrc/m.py\u201d",
                             "FILE: .\\src\\m.py",
                             "### `src/m.py`",
                             "### src/m.py",
                             "**src/m.py**",
                             "`src/m.py`:",
                             "src/m.py",
                             "src/m.py:",
                             "File: src/m.py",
                             "**File:** `src/m.py`",
                             "#### File: `src/m.py`",
                             "**`src/m.py`** (updated):",
                             "Filename: src/m.py"})
    EXPECT_EQ(only_edit(std::string(header) + "\n```python\nx\n```\n").substr(0, 14),
              "file src/m.py|")
        << header << ": " << only_edit(std::string(header) + "\n```python\nx\n```\n");
  for (const char* fence : {"python src/m.py", "python:src/m.py", "src/m.py",
                            "python title=\"src/m.py\"", "py filename=src/m.py"})
    EXPECT_EQ(only_edit(fmt::format("```{}\nx\n```\n", fence)), "file src/m.py|x\n") << fence;
}

TEST(CodeReply, NewNamesArePlainOrRefused) {
  EXPECT_EQ(only_edit("FILE: src/new.py (new file)\n```\nx\n```\n"), "file src/new.py|x\n");
  EXPECT_EQ(only_edit("### `src/new.py`\n```\nx\n```\n"), "file src/new.py|x\n");
  EXPECT_EQ(only_edit("FILE: app/[id]/(g)/page.tsx\n```\nx\n```\n"),
            "file app/[id]/(g)/page.tsx|x\n");
  EXPECT_NE(error_of("FILE: m.py\n```\nx\n```\n").find("did you mean 'src/m.py'"),
            std::string::npos);
  EXPECT_NE(error_of("FILE: SRC/M.py\n```\nx\n```\n").find("did you mean 'src/m.py'"),
            std::string::npos);
  EXPECT_NE(error_of("FILE: proj/src/m.py\n```\nx\n```\n").find("did you mean 'src/m.py'"),
            std::string::npos);
  for (const char* path :
       {"src/n.py and src/o.py", "src/n.py new", "src/<name>.py", "src/n.py|x", "a?b", "the file"})
    EXPECT_NE(error_of(fmt::format("FILE: {}\n```\nx\n```\n", path)), "") << path;
}

TEST(CodeReply, LinesAreReadInEveryForm) {
  const std::string block = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
  const std::string wanted = "lines src/m.py|a\n>b\n";
  for (const std::string& reply :
       {"FILE: src/m.py\n```python\n" + block + "```\n", "FILE: src/m.py\n" + block,
        "src/m.py\n```python\n" + block + "```\n", "```python\nsrc/m.py\n" + block + "```\n",
        "### src/m.py\n\n" + block + "\nThat is all.\n",
        std::string("FILE: src/m.py\n```diff\n-a\n+b\n```\n"),
        std::string("```diff\n--- a/src/m.py\n+++ b/src/m.py\n@@ -1,1 +1,1 @@\n-a\n+b\n```"),
        std::string("--- src/m.py\n+++ src/m.py\n@@ -1 +1 @@\n-a\n+b\n"),
        std::string("Fix:\n\ndiff --git a/src/m.py b/src/m.py\nindex 1..2 100644\n--- "
                    "a/src/m.py\n+++ b/src/m.py\n@@ -1 +1 @@\n-a\n+b\n\nDone."),
        std::string("*** Begin Patch\n*** Update File: src/m.py\n@@\n-a\n+b\n*** End Patch\n"),
        std::string("FILE: src/m.py\n```\n@@ -1 +1 @@\n-a\n+b\n```\n"),
        "FUNCTION: src/m.py f\n```\n" + block + "```\n"})
    EXPECT_EQ(only_edit(reply), wanted) << reply;
  const auto two = parsed(
      "```diff\n--- a/src/m.py\n+++ b/src/m.py\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ "
      "b/src/new.py\n@@ -0,0 +1 @@\n+n\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n```");
  ASSERT_TRUE(two) << two.error().message;
  ASSERT_EQ(two->size(), 3U);
  EXPECT_EQ((*two)[1].code, "n\n");
  EXPECT_EQ((*two)[2].kind, Edit::Kind::kDelete);
  EXPECT_NE(error_of(block).find("has no file"), std::string::npos);
  EXPECT_EQ(only_edit("FILE: src/new.py\n```\n<<<<<<< SEARCH\n=======\nn\n>>>>>>> REPLACE\n```\n"),
            "file src/new.py|n\n");
  EXPECT_EQ(only_edit("FILE: a.patch\n```diff\n@@ -1 +1 @@\n-a\n+b\n```\n"),
            "file a.patch|@@ -1 +1 @@\n-a\n+b\n");
  EXPECT_EQ(only_edit("FILE: a.md\n```\n- a\n- b\n```\n"), "file a.md|- a\n- b\n");
}

TEST(CodeReply, FencesInFences) {
  EXPECT_EQ(only_edit("FILE: README.md\n```md\nA\n```sh\nls\n```\nB\n```\n"),
            "file README.md|A\n```sh\nls\n```\nB\n");
  // Two bare fences in it: where it ends cannot be known.
  EXPECT_NE(error_of("FILE: README.md\n```\nA\n```\nls\n```\nB\n```\n").find("longer fences"),
            std::string::npos);
  EXPECT_EQ(only_edit("FILE: src/m.py\n````\n```python\nx\n```\n````\n"), "file src/m.py|x\n");
  EXPECT_EQ(only_edit("```\nFILE: src/m.py\n```python\nx\n```\n```\n"), "file src/m.py|x\n");
  EXPECT_EQ(only_edit("```python\nFILE: src/m.py\nx\n```\n"), "file src/m.py|x\n");
  EXPECT_EQ(only_edit("FILE: src/m.py\n```\nx\n```\nRun:\n```\npytest\n```\n"),
            "file src/m.py|x\n");
}

TEST(CodeReply, TalkIsNoEdit) {
  for (const char* reply :
       {"src/m.py prints:\n```\nx\n```\n", "`src/m.py` prints this:\n```\nx\n```\n",
        "Look at src/m.py\n```\nx\n```\n", "Run it:\n```sh\npython src/m.py\n```\n"})
    EXPECT_NE(error_of(reply).find("no edit"), std::string::npos) << reply;
}

TEST(CodeReply, SaidTwiceIsSaidOnceIfItIsTheSame) {
  const std::string edit = "FILE: a\n```\nx\n```\n";
  EXPECT_EQ(only_edit(edit + edit), "file a|x\n");
  const auto beside = parsed(edit + "DELETE: a gone\n");
  ASSERT_TRUE(beside) << beside.error().message;
  EXPECT_EQ((*beside)[1].function, "gone");
}

}  // namespace
}  // namespace lathe::loop
