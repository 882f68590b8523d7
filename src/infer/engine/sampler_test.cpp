// Draws by the probabilities that filters, penalties and masks leave; the same ones from the same
// seed.
#include "infer/engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace lathe::infer {
namespace {

std::unique_ptr<Tokenizer> letters(std::size_t size) {
  VocabularySpec spec;
  spec.model = "llama";
  for (std::size_t i = 0; i < size; ++i) {
    spec.tokens.push_back(i == 25 ? "\n"
                                  : std::string(1 + i / 26, static_cast<char>('a' + i % 26)));
    spec.kinds.push_back(TokenKind::kNormal);
  }
  spec.scores.assign(size, 0);
  spec.unknown = 0;
  auto tokenizer = Tokenizer::make(std::move(spec));
  EXPECT_TRUE(tokenizer.has_value()) << (tokenizer ? "" : tokenizer.error().message);
  return std::move(*tokenizer);
}

SamplerParams plain() {
  SamplerParams params;
  params.temperature = 1;
  params.top_k = 0;
  params.top_p = 1;
  params.min_p = 0;
  return params;
}

std::vector<float> logits_of(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

// How often each token is drawn over many positions.
std::map<TokenId, double> shares(const SamplerParams& params, const std::vector<float>& logits,
                                 const std::vector<TokenId>& before = {},
                                 std::size_t draws = 20000) {
  const auto tokenizer = letters(logits.size());
  Sampler sampler(params, 0, *tokenizer);
  for (const TokenId token : before) sampler.accept(token);
  std::map<TokenId, double> counts;
  for (std::size_t i = 0; i < draws; ++i)
    counts[*sampler.sample(logits, {}, i)] += 1 / static_cast<double>(draws);
  return counts;
}

std::vector<TokenId> support(const SamplerParams& params, const std::vector<float>& logits,
                             const std::vector<TokenId>& before = {}) {
  std::vector<TokenId> ids;
  for (const auto& [id, share] : shares(params, logits, before, 3000)) ids.push_back(id);
  return ids;
}

const std::vector<float> kFour = logits_of({0.1, 0.2, 0.3, 0.4});

TEST(Sampler, DrawsByProbability) {
  const auto counts = shares(plain(), kFour);
  for (TokenId id = 0; id < 4; ++id) EXPECT_NEAR(counts.at(id), 0.1 * (id + 1), 0.015);
}

// The supports that llama.cpp's own filters leave of the same distributions.
TEST(Sampler, FiltersKeepWhatTheyShould) {
  SamplerParams p = plain();
  p.top_k = 1;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{3}));
  p.top_k = 3;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{1, 2, 3}));
  p = plain();
  p.top_p = 0.7f;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{2, 3}));
  p.top_p = 0.8f;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{1, 2, 3}));
  p = plain();
  p.min_p = 0.26f;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{1, 2, 3}));
  p.min_p = 0.74f;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{2, 3}));
  p = plain();
  p.typical_p = 0.5f;
  EXPECT_EQ(support(p, logits_of({0.97, 0.01, 0.01, 0.01})), (std::vector<TokenId>{0}));
  EXPECT_EQ(support(p, logits_of({0.4, 0.2, 0.2, 0.2})), (std::vector<TokenId>{1, 2, 3}));
  p = plain();
  p.top_n_sigma = 1;
  EXPECT_EQ(support(p, kFour), (std::vector<TokenId>{2, 3}));
  p = plain();
  p.xtc_probability = 1;
  p.xtc_threshold = 0.1f;
  EXPECT_EQ(support(p, logits_of({0.4, 0.3, 0.2, 0.05, 0.05})), (std::vector<TokenId>{2, 3, 4}));
  p.xtc_probability = 0.5f;
  EXPECT_NEAR(shares(p, logits_of({0.5, 0.4, 0.1 - 1e-6, 1e-6}))[0], 0.25, 0.02);
}

TEST(Sampler, PenaltiesChangeTheLogitsOfSeenTokens) {
  SamplerParams p = plain();
  p.temperature = 0;
  const std::vector<float> logits = {2.0f, 1.9f, -1.0f};
  const auto tokenizer = letters(3);
  const auto greedy = [&](const std::vector<TokenId>& before) {
    Sampler sampler(p, 0, *tokenizer);
    for (const TokenId token : before) sampler.accept(token);
    return *sampler.sample(logits, {}, 0);
  };
  EXPECT_EQ(greedy({0}), 0);
  p.repeat_penalty = 1.2f;
  EXPECT_EQ(greedy({0}), 1);
  EXPECT_EQ(greedy({}), 0);
  p.repeat_last_n = 2;
  EXPECT_EQ(greedy({0, 2, 2}), 0);  // out of sight
  p = plain();
  p.temperature = 0;
  p.frequency_penalty = 0.06f;
  EXPECT_EQ(greedy({0}), 0);
  EXPECT_EQ(greedy({0, 0}), 1);
  p.frequency_penalty = 0;
  p.presence_penalty = 0.11f;
  EXPECT_EQ(greedy({0}), 1);
}

TEST(Sampler, DryPenalisesGoingOnWithARepeatedPassage) {
  SamplerParams p = plain();
  p.dry_multiplier = 10;
  const std::vector<float> flat(26, 0.0f);
  const auto has = [&](const std::vector<TokenId>& before, TokenId token) {
    return shares(p, flat, before, 4000).contains(token);
  };
  // "a b c a b": going on with c would repeat three tokens.
  EXPECT_FALSE(has({0, 1, 2, 0, 1}, 2));
  EXPECT_TRUE(has({0, 1, 2, 0, 1}, 3));
  EXPECT_TRUE(has({0, 1, 2, 3, 1}, 2));    // only one token repeats
  EXPECT_TRUE(has({0, 25, 2, 0, 25}, 2));  // a line break ends a passage
  p.dry_allowed_length = 4;
  EXPECT_TRUE(has({0, 1, 2, 0, 1}, 2));
}

TEST(Sampler, MirostatKeepsTheSurpriseNearItsTarget) {
  for (const int version : {1, 2}) {
    SamplerParams p = plain();
    p.mirostat = version;
    p.mirostat_tau = 3;
    std::vector<double> zipf;
    for (int i = 1; i <= 2000; ++i) zipf.push_back(1.0 / i);
    const auto logits = logits_of(zipf);
    double total = 0;
    for (const double x : zipf) total += x;
    const auto tokenizer = letters(logits.size());
    Sampler sampler(p, 0, *tokenizer);
    double surprise = 0;
    constexpr int kDraws = 4000;
    for (int i = 0; i < kDraws; ++i) {
      const auto id = *sampler.sample(logits, {}, static_cast<std::size_t>(i));
      surprise -= std::log2(zipf[static_cast<std::size_t>(id)] / total) / kDraws;
    }
    // The surprise under the truncated distribution is steered; under the whole one it is a little
    // larger.
    EXPECT_GT(surprise, 2.5) << version;
    EXPECT_LT(surprise, 5) << version;
  }
}

TEST(Sampler, ADrawDependsOnSeedStreamAndPositionAlone) {
  const auto tokenizer = letters(50);
  std::vector<float> logits(50);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7);
  const auto draw = [&](std::uint64_t seed, std::uint64_t stream, std::size_t position) {
    SamplerParams p = plain();
    p.seed = seed;
    return *Sampler(p, stream, *tokenizer).sample(logits, {}, position);
  };
  EXPECT_EQ(draw(1, 2, 3), draw(1, 2, 3));
  int same = 0;
  for (std::uint64_t i = 0; i < 300; ++i)
    same += (draw(i, 0, 5) == draw(i, 1, 5)) + (draw(i, 0, 5) == draw(i + 1, 0, 5)) +
            (draw(i, 0, 5) == draw(i, 0, 6));
  EXPECT_LT(same, 900 / 10);
}

TEST(Sampler, MasksComeFirst) {
  SamplerParams p = plain();
  p.top_k = 1;
  const auto tokenizer = letters(4);
  Sampler sampler(p, 0, *tokenizer);
  const std::uint32_t only_first_two = 0b0011;
  EXPECT_EQ(*sampler.sample(kFour, {&only_first_two, 1}, 0), 1);
  const std::uint32_t none = 0;
  EXPECT_FALSE(sampler.sample(kFour, {&none, 1}, 0).has_value());
}

TEST(Sampler, BrokenLogitsStillGiveAToken) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  for (const std::vector<float>& logits :
       {std::vector<float>(4, nan), std::vector<float>(4, -infinity),
        std::vector<float>{nan, 1, nan, 0}}) {
    for (const float temperature : {0.0f, 1.0f}) {
      SamplerParams p;
      p.temperature = temperature;
      const auto tokenizer = letters(4);
      Sampler sampler(p, 0, *tokenizer);
      const auto token = sampler.sample(logits, {}, 0);
      ASSERT_TRUE(token.has_value());
      EXPECT_TRUE(*token >= 0 && *token < 4);
      if (logits[1] == 1) {
        EXPECT_NE(*token, 0);
      }
    }
  }
}

TEST(Sampler, LogprobsAreTheLogSoftmax) {
  EXPECT_NEAR(logprob_of(kFour, 2).logprob, std::log(0.3), 1e-6);
  const auto top = top_logprobs(kFour, 2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].id, 3);
  EXPECT_NEAR(top[1].logprob, std::log(0.3), 1e-6);
}

TEST(Sampler, RangesAreNamed) {
  SamplerParams p;
  p.top_p = 1.5f;
  EXPECT_EQ(check_sampler(p, 10).error().message, "top_p is 1.5; it must lie in [0, 1]");
  p = {};
  p.logit_bias = {{12, 1.0f}};
  EXPECT_EQ(check_sampler(p, 10).error().message,
            "logit_bias names token 12; the vocabulary has 10");
  p = {};
  p.temperature = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(check_sampler(p, 10).has_value());
  EXPECT_TRUE(check_sampler({}, 10).has_value());
}

}  // namespace
}  // namespace lathe::infer
