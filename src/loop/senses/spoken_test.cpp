// Written text as it is spoken, and numbers as people count.
#include "loop/senses/spoken.h"

#include <gtest/gtest.h>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "loop/senses/numbers.h"

namespace lathe::loop {
namespace {

TEST(Spoken, SaysTheCases) {
  const auto cases = read_file(fs::path(LATHE_SOURCE_DIR) / "tests/cases/speech/spoken.tsv");
  ASSERT_TRUE(cases) << cases.error().message;
  int count = 0;
  for (const std::string_view line : split_lines(*cases)) {
    const auto tab = line.find('\t');
    if (tab == line.npos || line.starts_with("# text")) continue;
    EXPECT_EQ(join(words_of(spoken_text(line.substr(0, tab))), " "), line.substr(tab + 1)) << line;
    ++count;
  }
  EXPECT_GT(count, 45);
}

TEST(Spoken, IsAtRestOnItsOwnOutput) {
  // Saying what has been expanded changes nothing: maker and judge may both expand.
  const auto cases = read_file(fs::path(LATHE_SOURCE_DIR) / "tests/cases/speech/spoken.tsv");
  ASSERT_TRUE(cases);
  for (const std::string_view line : split_lines(*cases)) {
    const std::string once = spoken_text(line);
    EXPECT_EQ(words_of(spoken_text(once)), words_of(once)) << line;
  }
}

TEST(Spoken, KeepsThePausesAndDropsTheMarkup) {
  EXPECT_EQ(spoken_text("Well: *stop*; now!  Why?"), "Well, stop, now! Why?");
  EXPECT_EQ(spoken_text("\"Yes.\""), "Yes.");
  EXPECT_EQ(spoken_text("  \t\n"), "");
}

TEST(Spoken, SurvivesAnyBytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(find_invalid_utf8(spoken_text(all)), std::string_view::npos);
    all += all;
  }
  EXPECT_FALSE(spoken_text(std::string(100'000, '7')).empty());
}

TEST(Numbers, CountAsPeopleDo) {
  EXPECT_EQ(cardinal_words("0"), "zero");
  EXPECT_EQ(cardinal_words("000"), "zero");
  EXPECT_EQ(cardinal_words("1000"), "one thousand");
  EXPECT_EQ(cardinal_words("1000001"), "one million one");
  EXPECT_EQ(cardinal_words("999999"), "nine hundred ninety nine thousand nine hundred ninety nine");
  EXPECT_EQ(ordinal_words("40"), "fortieth");
  EXPECT_EQ(ordinal_words("0"), "zeroth");
  EXPECT_EQ(ordinal_words("1000"), "one thousandth");
  EXPECT_EQ(year_words("1066"), "ten sixty six");
  EXPECT_EQ(year_words("2010"), "twenty ten");
}

TEST(Sentences, EndWhereAbbreviationsDoNot) {
  EXPECT_EQ(sentences_of(spoken_text("Dr. Brown paid $2.50. Really? Yes! \"No\", he said.")),
            (std::vector<std::string>{"Doctor Brown paid two dollars and fifty cents.", "Really?",
                                      "Yes!", "No, he said."}));
  EXPECT_EQ(sentences_of("one two"), std::vector<std::string>{"one two"});
  EXPECT_EQ(sentences_of("one. . two"), (std::vector<std::string>{"one. .", "two"}));
  EXPECT_TRUE(sentences_of(" . ").empty());
  EXPECT_TRUE(sentences_of("").empty());
}

}  // namespace
}  // namespace lathe::loop
