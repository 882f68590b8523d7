#include "loop/makers/code_reply.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

std::string error_of(std::string_view reply) {
  const auto edits = parse_code_reply(reply);
  return edits ? "" : edits.error().message;
}

TEST(CodeReply, ReadsEveryKindOfEdit) {
  const auto edits = parse_code_reply(
      "Here is the fix.\n\nFILE: src/a.cpp\n```cpp\nint a;\n\nint b;\n```\nand\n"
      "FUNCTION: src/b.cpp Parser::next()\n```\nint next() {}\n```\nDELETE: old.txt\n");
  ASSERT_TRUE(edits) << edits.error().message;
  ASSERT_EQ(edits->size(), 3U);
  EXPECT_EQ((*edits)[0].path, "src/a.cpp");
  EXPECT_EQ((*edits)[0].code, "int a;\n\nint b;\n");
  EXPECT_EQ((*edits)[1].kind, Edit::Kind::kFunction);
  EXPECT_EQ((*edits)[1].function, "Parser::next");
  EXPECT_EQ((*edits)[2].kind, Edit::Kind::kDelete);
  EXPECT_EQ((*edits)[2].path, "old.txt");
}

TEST(CodeReply, TakesWhatModelsMakeOfTheForm) {
  for (const char* line : {"**FILE: `src/a.py`**", "### FILE: src/a.py", "`FILE: src/a.py`",
                           "FILE: ./src/a.py", "FILE:src/a.py", "  FILE: src/a.py  "}) {
    const auto edits = parse_code_reply(std::string(line) + "\n\n```python\nx = 1\n```\n");
    ASSERT_TRUE(edits) << line << ": " << edits.error().message;
    EXPECT_EQ(edits->front().path, "src/a.py") << line;
  }
  // A name may begin with underscores.
  EXPECT_EQ(parse_code_reply("**FILE: `__init__.py`**\n```\nx\n```\n")->front().path,
            "__init__.py");
  EXPECT_EQ(parse_code_reply("FUNCTION: _a.py __init__\n```\nx\n```\n")->front().function,
            "__init__");
  const auto windows = parse_code_reply("FILE: a\r\n```\r\nx\r\n```\r\n");
  ASSERT_TRUE(windows);
  EXPECT_EQ(windows->front().code, "x\n");
}

TEST(CodeReply, LongerFencesHoldShorterOnes) {
  const auto edits =
      parse_code_reply("FILE: a.md\n````md\ntext\n```sh\nls\n```\nFILE: not.this\n````\n");
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_EQ(edits->front().code, "text\n```sh\nls\n```\nFILE: not.this\n");
}

TEST(CodeReply, ReadsWhatItWrites) {
  const std::vector<Edit> edits{
      {Edit::Kind::kFile, "_a b.md", "", "text\n```sh\nls\n```\n````\nFILE: not.this\n"},
      {Edit::Kind::kFile, "empty", "", ""},
      {Edit::Kind::kFunction, "ü.py", "_C.__init__", "  def __init__(self):\n    pass\n"},
      {Edit::Kind::kDelete, "__old__.py", "", ""}};
  const auto read = parse_code_reply(write_code_reply(edits));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), edits.size());
  for (std::size_t i = 0; i < edits.size(); ++i) {
    EXPECT_EQ((*read)[i].kind, edits[i].kind);
    EXPECT_EQ((*read)[i].path, edits[i].path);
    EXPECT_EQ((*read)[i].function, edits[i].function);
    EXPECT_EQ((*read)[i].code, edits[i].code);
  }
}

TEST(CodeReply, BlocksWithoutAnnouncementAreTalk) {
  const auto edits = parse_code_reply("Run:\n```sh\nmake\n```\nFILE: a\n```\nx\n```\n");
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

}  // namespace
}  // namespace lathe
