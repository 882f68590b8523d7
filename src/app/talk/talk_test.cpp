// Sentences as they come, however the text is cut; where an utterance ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/talk/sentences.h"
#include "app/talk/utterance.h"

namespace lathe::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> cut(std::string_view text, std::size_t piece) {
  SentenceCutter cutter;
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size(); at += piece)
    for (std::string& sentence : cutter.add(text.substr(at, piece)))
      all.push_back(std::move(sentence));
  for (std::string& sentence : cutter.end()) all.push_back(std::move(sentence));
  return all;
}

TEST(Sentences, AreTheSameHoweverTheTextComes) {
  constexpr std::string_view kText =
      "Good morning, Dr. Smith! It is 3.5 degrees at 10 a.m. today, isn't it? Yes.\nA new line\n\n"
      "** \n… And the rest";
  const std::vector<std::string> whole = cut(kText, kText.size());
  EXPECT_EQ(whole.front(), "Good morning, Dr. Smith!");
  EXPECT_EQ(whole.back(), "… And the rest");
  for (std::size_t piece = 1; piece < 20; ++piece) EXPECT_EQ(cut(kText, piece), whole) << piece;
}

TEST(Sentences, ComeAsSoonAsTheyAreWhole) {
  SentenceCutter cutter;
  EXPECT_THAT(cutter.add("One."), IsEmpty()) << "it may go on: 1.5, a.m.";
  EXPECT_THAT(cutter.add(" Tw"), ElementsAre("One."));
  EXPECT_THAT(cutter.add("o\nThree"), ElementsAre("Two"));
  EXPECT_THAT(cutter.end(), ElementsAre("Three"));
  EXPECT_THAT(cutter.end(), IsEmpty());
}

TEST(Sentences, HaveALongestLength) {
  std::string words;
  for (int i = 0; i < 400; ++i) words += "word ";
  const auto pieces = cut(words, 7);
  std::string together;
  for (const std::string& piece : pieces) {
    EXPECT_LE(piece.size(), SentenceCutter::kLongest);
    together += piece + " ";
  }
  EXPECT_EQ(together, words);
  // Without a blank: cut between characters.
  std::string letters = "x";
  for (int i = 0; i < 1000; ++i) letters += "ä";
  std::string again;
  for (const std::string& piece : cut(letters, 100)) {
    EXPECT_NE(static_cast<unsigned char>(piece[0]) & 0xC0U, 0x80U);
    again += piece;
  }
  EXPECT_EQ(again, letters);
}

TEST(Utterance, EndsWithAPause) {
  const auto sound = [](double loud_seconds, double quiet_seconds, std::int16_t loud = 3000) {
    std::vector<std::int16_t> samples(static_cast<std::size_t>(loud_seconds * 16000), loud);
    samples.resize(samples.size() + static_cast<std::size_t>(quiet_seconds * 16000));
    return samples;
  };
  EXPECT_TRUE(utterance_ended(sound(1, 1)));
  EXPECT_FALSE(utterance_ended(sound(1, 0.8)));
  EXPECT_FALSE(utterance_ended(sound(0, 5))) << "nobody has spoken";
  EXPECT_FALSE(utterance_ended(sound(0.1, 5))) << "a click";
  EXPECT_FALSE(utterance_ended(sound(1, 1, 300))) << "a fan: −40.8 dB";
  EXPECT_FALSE(utterance_ended({}));
}

}  // namespace
}  // namespace lathe::app
