// Rules of transcripts one by one, and languages by their names.
#include "infer/whisper/filter.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lathe::infer {
namespace {

using Id = WhisperTokens::Id;

WhisperTokens english() {
  WhisperTokens tokens;
  tokens.end = 50256;
  tokens.start = 50257;
  tokens.no_times = 50362;
  tokens.first_time = 50363;
  tokens.blank = 220;
  tokens.vocabulary = 51864;
  return tokens;
}

// Log-probabilities where every token is as likely, but for what `likely` says.
std::vector<float> filtered(const std::vector<Id>& written, Id earliest = 50363,
                            const std::vector<std::pair<Id, float>>& likely = {},
                            const WhisperRules& rules = {}) {
  std::vector<float> logits(51864, 0);
  for (const auto& [token, logit] : likely) logits[static_cast<std::size_t>(token)] = logit;
  filter_next(english(), rules, written, earliest, logits);
  return logits;
}
bool may(const std::vector<float>& logits, Id token) {
  return logits[static_cast<std::size_t>(token)] > -INFINITY;
}

TEST(Filter, ABeginningSaysSomething) {
  const auto first = filtered({}, 50363, {{5, 20}});
  EXPECT_TRUE(may(first, 5));
  EXPECT_FALSE(may(first, 220)) << "a blank";
  EXPECT_FALSE(may(first, 50256)) << "the end";
  EXPECT_TRUE(may(first, 50363 + 50)) << "at the latest in a second";
  EXPECT_FALSE(may(first, 50363 + 51));
  for (Id token = 50257; token < 50363; ++token) EXPECT_FALSE(may(first, token)) << token;
  const auto later = filtered({7}, 50363, {{5, 20}});
  EXPECT_TRUE(may(later, 220));
  EXPECT_TRUE(may(later, 50256));
  EXPECT_TRUE(may(later, 51863));
}

TEST(Filter, TimesComeInPairsAndDoNotRunBackwards) {
  const auto behind_end = filtered({7, 50400}, 50400);
  EXPECT_FALSE(may(behind_end, 5)) << "the next words begin at a time";
  EXPECT_FALSE(may(behind_end, 50399));
  EXPECT_TRUE(may(behind_end, 50400));
  const auto behind_begin = filtered({50400, 50410}, 50410);
  EXPECT_TRUE(may(behind_begin, 5));
  for (Id token = 50363; token < 51864; ++token) ASSERT_FALSE(may(behind_begin, token));
  const auto behind_first = filtered({50400}, 50400, {{5, 20}});
  EXPECT_TRUE(may(behind_first, 5));
  EXPECT_FALSE(may(behind_first, 50401)) << "it has begun";
}

TEST(Filter, TimesTogetherOutweighAnyText) {
  const auto even = filtered({7});
  EXPECT_FALSE(may(even, 5)) << "1,501 times against each word";
  const auto text = filtered({7}, 50363, {{5, 8}});
  EXPECT_TRUE(may(text, 5));
  // What is left out is not counted: the rest adds up to one.
  double sum = 0;
  for (const float logprob : text) sum += std::exp(logprob);
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(Filter, WithoutTimesThereAreNone) {
  WhisperRules rules;
  rules.times = false;
  const auto first = filtered({}, 50363, {}, rules);
  EXPECT_TRUE(may(first, 5));
  for (Id token = 50363; token < 51864; ++token) ASSERT_FALSE(may(first, token));
}

TEST(Entropy, IsLowWhereATextGoesInCircles) {
  std::vector<Id> tokens(100, 1);
  EXPECT_EQ(entropy_of(tokens), 0);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<Id>(i % 4);
  EXPECT_NEAR(entropy_of(tokens), std::log(4.0), 1e-12);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<Id>(i);
  EXPECT_NEAR(entropy_of(tokens), std::log(32.0), 1e-12);
  EXPECT_EQ(entropy_of({}), 0);
}

TEST(Languages, AreFoundByCodeAndName) {
  ASSERT_EQ(whisper_languages().size(), 100u);
  EXPECT_EQ(find_language("de"), 2u);
  EXPECT_EQ(find_language("German"), 2u);
  EXPECT_EQ(find_language("YUE"), 99u);
  EXPECT_EQ(find_language("klingon"), std::nullopt);
}

}  // namespace
}  // namespace lathe::infer
