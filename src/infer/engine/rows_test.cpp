// Rows of embeddings in a prompt. The truth: rows that are exactly the embeddings of tokens give
// what those tokens give, to the bit, however the prompt is cut, from a cold or a warm prefix, in
// company and after a fork. And rows of another content are another prompt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/cache/snapshot.h"
#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

// The embeddings of some tokens, as the first layer reads them.
std::shared_ptr<const RowBlock> rows_of(const Loaded& loaded, std::span<const TokenId> tokens) {
  const std::size_t width = loaded.model->blueprint().embedding;
  std::vector<float> values(tokens.size() * width);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    loaded.model->embed(tokens[i], values.data() + i * width);
  for (float& value : values) value *= loaded.model->blueprint().embedding_scale;
  return *RowBlock::make(width, std::move(values));
}

using Stretches = std::vector<std::pair<std::size_t, std::size_t>>;

// The same prompt with rows in place of the tokens of some stretches.
Prompt with_rows(const Loaded& loaded, std::span<const TokenId> tokens,
                 const Stretches& stretches) {
  Prompt prompt;
  std::size_t at = 0;
  for (const auto& [from, to] : stretches) {
    prompt.add(tokens.subspan(at, from - at));
    prompt.add(rows_of(loaded, tokens.subspan(from, to - from)));
    at = to;
  }
  prompt.add(tokens.subspan(at));
  return prompt;
}

Stretches random_stretches(std::mt19937& random, std::size_t size) {
  Stretches stretches;
  for (std::size_t at = random() % 4; at < size;) {
    const std::size_t to = std::min<std::size_t>(size, at + 1 + random() % 90);
    stretches.emplace_back(at, to);
    at = to + random() % 40;
  }
  return stretches;
}

class RowSchedules : public ::testing::TestWithParam<const char*> {};

TEST_P(RowSchedules, ThatAreEmbeddingsOfTokensGiveTheirBitsInRandomSchedules) {
  Loaded loaded(GetParam());
  std::mt19937 random(21);
  const std::vector<TokenId> shared = random_prompt(random, 150);
  std::vector<GenerationRequest> requests;
  std::vector<Outcome> expected;
  for (std::uint64_t i = 0; i < 12; ++i) {
    std::vector<TokenId> tokens(shared.begin(),
                                shared.begin() + static_cast<std::ptrdiff_t>(random() % 150));
    for (const TokenId id : random_prompt(random, 1 + random() % 60)) tokens.push_back(id);
    requests.push_back(request_of(tokens, 1 + random() % 12, i));
    expected.push_back(alone(loaded, requests.back()));
    // Every second one begins with the same picture.
    Stretches stretches{{0, std::min<std::size_t>(tokens.size(), 70)}};
    if (i % 2 == 0) stretches = random_stretches(random, tokens.size());
    requests.back().prompt = with_rows(loaded, tokens, stretches);
  }
  std::size_t cached = 0, accepted = 0;
  for (int schedule = 0; schedule < 12; ++schedule) {
    auto engine = loaded.engine({.kv_tokens = 512 + random() % 4096,
                                 .step_tokens = 1 + random() % 200,
                                 .sequences = 1 + random() % 32,
                                 .reuse_prefixes = random() % 4 != 0});
    if (schedule % 2 == 0) engine->use_step_seconds(std::vector<double>(64, 1.0));
    Outcomes outcomes;
    std::map<SequenceId, std::size_t> which;
    for (int added = 0; added < 12 || !engine->idle();) {
      if (added < 12 && (random() % 3 == 0 || engine->idle())) {
        const std::size_t i = random() % requests.size();
        GenerationRequest request = requests[i];
        if (random() % 2 == 0) request.draft = expected[i].tokens;
        const auto id = engine->add(std::move(request));
        ASSERT_TRUE(id.has_value()) << id.error().message;
        which[*id] = i;
        ++added;
      }
      engine->step(collect(outcomes));
    }
    for (const auto& [id, i] : which) {
      const Outcome& outcome = outcomes[{id, 0}];
      EXPECT_TRUE(outcome.same_bits(expected[i])) << "schedule " << schedule << ", request " << i;
      EXPECT_EQ(outcome.usage.prompt_tokens, requests[i].prompt.size());
      cached += outcome.usage.cached_tokens;
      accepted += outcome.usage.accepted_drafts;
    }
  }
  EXPECT_GT(cached, 500u);
  EXPECT_GT(accepted, 20u);
}

INSTANTIATE_TEST_SUITE_P(Models, RowSchedules,
                         ::testing::Values("llama-q4_0", "qwen3moe-mxfp4_moe", "small-heads",
                                           "windows", "gemma3", "qwen3next"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Rows, GiveTheLogitsAndTheEmbeddingsOfTheirTokens) {
  Loaded loaded("llama-q8_0");
  std::mt19937 random(22);
  const std::vector<TokenId> tokens = random_prompt(random, 200);
  auto engine = loaded.engine();
  const auto logits = [&](const Prompt& text) {
    std::vector<float> all;
    EXPECT_TRUE(engine->logits(
        text, [&](std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); }));
    return all;
  };
  for (const auto& stretch : Stretches{{0, 200}, {0, 1}, {63, 64}, {64, 129}, {199, 200}}) {
    const Prompt rows = with_rows(loaded, tokens, {stretch});
    EXPECT_EQ(logits(rows), logits(tokens)) << stretch.first;
    EXPECT_EQ(*engine->embed(rows, Pooling::kMean), *engine->embed(tokens, Pooling::kMean));
  }
}

TEST(Rows, CandidatesForkBehindThem) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(23);
  const std::vector<TokenId> tokens = random_prompt(random, 100);
  GenerationRequest request = request_of(tokens, 10, 1);
  request.candidates = 4;
  const auto ask = [&] {
    auto engine = loaded.engine();
    Outcomes outcomes;
    EXPECT_TRUE(engine->add(request));
    while (engine->step(collect(outcomes))) {
    }
    return outcomes;
  };
  Outcomes expected = ask();
  request.prompt = with_rows(loaded, tokens, {{10, 90}});
  Outcomes got = ask();
  ASSERT_EQ(got.size(), 4u);
  for (const auto& [key, outcome] : expected) EXPECT_TRUE(got[key].same_bits(outcome));
}

// Two pictures of one size in one place, which differ from one row on: in front of, at and behind
// the borders of blocks, and in the tail of a block that is copied.
TEST(Rows, OfAnotherContentAreNeverTakenForTheSame) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(24);
  const std::vector<TokenId> front = random_prompt(random, 30), behind = random_prompt(random, 20);
  for (const std::size_t differs : {0u, 33u, 34u, 35u, 97u, 98u, 139u}) {
    std::vector<TokenId> one = random_prompt(random, 140), other = one;
    other[differs] = (other[differs] + 1) % 318;
    const auto prompt_of = [&](const std::vector<TokenId>& picture) {
      Prompt prompt(front);
      prompt.add(rows_of(loaded, picture));
      prompt.add(behind);
      return prompt;
    };
    const auto truth_of = [&](const std::vector<TokenId>& picture) {
      std::vector<TokenId> tokens = front;
      tokens.insert(tokens.end(), picture.begin(), picture.end());
      tokens.insert(tokens.end(), behind.begin(), behind.end());
      return alone(loaded, request_of(tokens, 6, 0));
    };
    auto engine = loaded.engine();
    const auto ask = [&](const std::vector<TokenId>& picture, std::size_t cached) {
      GenerationRequest request = request_of({}, 6, 0);
      request.prompt = prompt_of(picture);
      Outcomes outcomes;
      ASSERT_TRUE(engine->add(std::move(request)));
      while (engine->step(collect(outcomes))) {
      }
      EXPECT_EQ(outcomes.begin()->second.usage.cached_tokens, cached) << differs;
      EXPECT_TRUE(outcomes.begin()->second.same_bits(truth_of(picture))) << differs;
    };
    ask(one, 0);
    ask(other, 30);  // what stands before the picture
    ask(one, 189);   // all but the last token
    ask(other, 189);
  }
}

TEST(Rows, ComeBackFromASnapshot) {
  const TempDir dir = *TempDir::make();
  Loaded loaded("llama-q4_0");
  std::mt19937 random(25);
  const std::vector<TokenId> tokens = random_prompt(random, 150);
  GenerationRequest request = request_of(tokens, 4, 0);
  const Outcome expected = alone(loaded, request);
  request.prompt = with_rows(loaded, tokens, {{20, 140}});
  const auto ask = [&](Engine& engine) {
    Outcomes outcomes;
    EXPECT_TRUE(engine.add(request));
    while (engine.step(collect(outcomes))) {
    }
    EXPECT_TRUE(outcomes.begin()->second.same_bits(expected));
    return outcomes.begin()->second.usage.cached_tokens;
  };
  auto engine = loaded.engine();
  EXPECT_EQ(ask(*engine), 0u);
  ASSERT_TRUE(save_snapshot(engine->cache(), "a model", dir.path() / "kv", UINT64_MAX));
  engine = loaded.engine();
  ASSERT_TRUE(load_snapshot(engine->cache(), "a model", dir.path() / "kv"));
  EXPECT_EQ(ask(*engine), 149u);
}

// Penalties look back on eight tokens: 76 rows between them and the answer are no distance.
TEST(Rows, AreNoTokensForPenalties) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(26);
  const std::vector<TokenId> tokens = random_prompt(random, 80);
  const TokenId seen = tokens[1], unseen = 317;
  GenerationRequest request = request_of(tokens, 1, 0);
  request.sampler.repeat_last_n = 8;
  request.sampler.logit_bias = {{seen, 100.0f}, {unseen, 80.0f}};
  const auto answer = [&](float penalty) {
    request.sampler.repeat_penalty = penalty;
    return alone(loaded, request).tokens;
  };
  EXPECT_THAT(answer(1.5f), ::testing::ElementsAre(seen)) << "out of sight, behind 78 tokens";
  request.prompt = with_rows(loaded, tokens, {{4, 80}});
  EXPECT_THAT(answer(1), ::testing::ElementsAre(seen));
  EXPECT_THAT(answer(1.5f), ::testing::ElementsAre(unseen));
}

TEST(Rows, OfAnotherWidthAreRefused) {
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine();
  const std::size_t width = loaded.model->blueprint().embedding;
  Prompt prompt({1, 2});
  prompt.add(*RowBlock::make(width / 2, std::vector<float>(width, 0.5f)));
  GenerationRequest request = request_of({}, 4, 0);
  request.prompt = prompt;
  EXPECT_EQ(engine->add(request).error().message,
            fmt::format("the prompt has rows of {} numbers; the model reads such of {}", width / 2,
                        width));
  EXPECT_EQ(
      engine->embed(prompt, Pooling::kMean).error().message,
      fmt::format("the text has rows of {} numbers; the model reads such of {}", width / 2, width));
  // A place that no row stands in.
  Prompt hole({1, kNoToken, 2});
  EXPECT_EQ(engine->embed(hole, Pooling::kMean).error().message,
            "the text names token -1; the vocabulary has 319");
}

}  // namespace
}  // namespace lathe::infer
