// Where texts are cut.
#include "books/index/chunks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::books {
namespace {

std::string words(int count, const std::string& word = "word") {
  std::string text;
  for (int i = 0; i < count; ++i) text += (i == 0 ? "" : " ") + word;
  return text;
}

std::string_view text_of(const std::string& text, const Chunk& chunk) {
  return std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin);
}

TEST(Chunks, HeadingsBeginThemAndAreTheirPath) {
  const std::string text =
      "# Setup\n\nFirst.\n\n## Ports\n\nIt is 8080.\n\n# Use\n\n```sh\n# no heading\n\nrun\n```\n";
  const auto chunks = chunks_of(text, true);
  ASSERT_EQ(chunks.size(), 3U);
  EXPECT_EQ(text_of(text, chunks[0]), "# Setup\n\nFirst.");
  EXPECT_EQ(chunks[1].heading, "Setup › Ports");
  EXPECT_EQ(chunks[1].first_line, 5U);
  EXPECT_EQ(chunks[1].last_line, 7U);
  EXPECT_EQ(chunks[2].heading, "Use");
  EXPECT_EQ(text_of(text, chunks[2]), "# Use\n\n```sh\n# no heading\n\nrun\n```");
}

TEST(Chunks, ACommentOfAProgramIsNoHeading) {
  const auto chunks = chunks_of("# set it up\nx = 1\n\n# use it\ny = x\n", false);
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(chunks[0].heading, "");
}

TEST(Chunks, ParagraphsAreGatheredAndNotCutUnlessTheyAreTooLong) {
  const std::string text =
      words(70) + "\n\n" + words(70) + "\n\n" + words(170) + "\n\n" + words(400) + "\n";
  const auto chunks = chunks_of(text, true);
  ASSERT_EQ(chunks.size(), 6U);
  EXPECT_EQ(text_of(text, chunks[0]), words(70) + "\n\n" + words(70));
  EXPECT_EQ(text_of(text, chunks[1]), words(170));
  EXPECT_EQ(text_of(text, chunks[2]), words(120));
  EXPECT_EQ(text_of(text, chunks[5]), words(40));
}

TEST(Chunks, AWordWithoutEndIsCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "ä";
  const auto chunks = chunks_of(text, true);
  ASSERT_GT(chunks.size(), 2U);
  for (const Chunk& chunk : chunks) {
    EXPECT_LE(chunk.end - chunk.begin, kMaxChunkBytes);
    EXPECT_EQ(find_invalid_utf8(text_of(text, chunk)), std::string::npos);
  }
}

// Against the text itself: all of it but blanks, in order, within the limits, on the lines named.
TEST(Chunks, NothingIsLostOfAnyText) {
  const char* pieces[] = {"word ",
                          "# H\n",
                          "### Deep ",
                          "\n",
                          "\n\n",
                          "```\n",
                          "~~~",
                          "ä",
                          "\r\n",
                          "\t",
                          "x",
                          "\f",
                          "long-identifier-0815 "};
  const auto bare = [](std::string_view text) {
    std::string kept;
    for (const char c : text)
      if (std::string_view(" \t\n\r\f\v").find(c) == std::string_view::npos) kept += c;
    return kept;
  };
  std::uint64_t state = 7;
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < round * 4; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      text += pieces[(state >> 33) % std::size(pieces)];
    }
    std::string all;
    std::size_t end = 0;
    for (const Chunk& chunk : chunks_of(text, round % 2 == 0)) {
      EXPECT_GE(chunk.begin, end);
      end = chunk.end;
      all += bare(text_of(text, chunk));
      EXPECT_LE(chunk.end - chunk.begin, kMaxChunkBytes);
      const auto line = [&](std::size_t at) {
        return 1 + static_cast<std::size_t>(
                       std::ranges::count(text.begin(), text.begin() + std::ptrdiff_t(at), '\n'));
      };
      EXPECT_EQ(chunk.first_line, line(chunk.begin));
      EXPECT_EQ(chunk.last_line, line(chunk.end - 1));
    }
    EXPECT_EQ(all, bare(text));
  }
}

}  // namespace
}  // namespace lathe::books
