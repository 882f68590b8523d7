// Words that were read off a picture against those that should be there.
#include "loop/senses/reading.h"

#include <gmock/gmock.h>

namespace lathe::loop {
namespace {

std::vector<SeenWord> seen(std::initializer_list<const char*> words) {
  std::vector<SeenWord> out;
  for (const char* word : words)
    out.push_back({word, 90, {static_cast<int>(out.size()) * 10, 0, 8, 8}, 1, 0});
  return out;
}

std::string ticks(const std::vector<std::string>& expected,
                  std::initializer_list<const char*> words) {
  std::string out;
  for (const auto& box : tick_off(expected, seen(words))) out += box ? 'x' : '.';
  return out;
}

TEST(Reading, FoldsWhatLooksAlikeAndNothingElse) {
  EXPECT_EQ(folded("Café!"), folded("cafe"));
  EXPECT_EQ(folded("L0NDON"), folded("London"));
  EXPECT_EQ(folded("|sland"), folded("Island"));
  EXPECT_NE(folded("12.5%"), folded("125%"));
  EXPECT_NE(folded("Modern"), folded("Modem"));
  EXPECT_NE(folded("Festival"), folded("Festvial"));
  EXPECT_EQ(folded("—"), "");
  EXPECT_EQ(folded("|"), "");
}

TEST(Reading, TicksOffWordsWithTheirNumber) {
  EXPECT_EQ(ticks({"the", "cat", "the"}, {"the", "cat"}), "xx.");
  EXPECT_EQ(ticks({"Summer", "Sale"}, {"SummerSale"}), "xx");
  EXPECT_EQ(ticks({"Summer"}, {"Sum", "mer"}), "x");
  EXPECT_EQ(ticks({"Summer"}, {"Sumer"}), ".");
  EXPECT_EQ(ticks({}, {"a"}), "");
}

TEST(Reading, PhrasesAndWords) {
  EXPECT_THAT(phrases_of(" Title | |Sub title\nmore"),
              ::testing::ElementsAre("Title", "Sub title", "more"));
  EXPECT_THAT(words_in("Salt & Pepper — 3/4"),
              ::testing::ElementsAre("Salt", "&", "Pepper", "3", "4"));
}

}  // namespace
}  // namespace lathe::loop
