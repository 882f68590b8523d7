// Recurrent layers: what they carry of a sequence is remembered where a prompt can go on from,
// forked, taken back with a wrong draft and written to disk, and none of it changes a bit; and the
// memory it takes is what was promised.
#include <gtest/gtest.h>

#include "infer/cache/snapshot.h"
#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

class States : public ::testing::TestWithParam<const char*> {
 protected:
  Outcome ask(Engine& engine, const GenerationRequest& request) {
    Outcomes outcomes;
    EXPECT_TRUE(engine.add(request).has_value());
    while (engine.step(collect(outcomes))) {
    }
    EXPECT_EQ(outcomes.size(), 1u);
    return outcomes.begin()->second;
  }
  // The answer and how much of the prompt was known; it must be the one of a cold engine.
  Outcome ask_again(Engine& engine, const std::vector<TokenId>& prompt, std::size_t tokens = 20) {
    const GenerationRequest request = request_of(prompt, tokens, 1);
    const Outcome got = ask(engine, request);
    EXPECT_TRUE(got.same_bits(alone(loaded_, request)));
    return got;
  }

  Loaded loaded_{GetParam()};
  std::mt19937 random_{5};
};

TEST_P(States, APromptGoesOnFromWhereItsStateIsKnown) {
  const auto engine = loaded_.engine({.kv_tokens = 1 << 14});
  const std::vector<TokenId> prompt = random_prompt(random_, 1400);
  const Outcome first = ask_again(*engine, prompt);
  EXPECT_EQ(first.usage.cached_tokens, 0u);
  // The same again: from the last whole block in front of its last token.
  EXPECT_EQ(ask_again(*engine, prompt).usage.cached_tokens, 1344u);
  // One that parts ways with it: from a checkpoint before.
  std::vector<TokenId> branch(prompt.begin(), prompt.begin() + 1100);
  for (const TokenId id : random_prompt(random_, 300)) branch.push_back(id);
  EXPECT_EQ(ask_again(*engine, branch).usage.cached_tokens, 1024u);
  // The talk goes on: from behind the answer.
  std::vector<TokenId> more = prompt;
  more.insert(more.end(), first.tokens.begin(), first.tokens.end());
  const std::size_t known = more.size() - 1;
  for (const TokenId id : random_prompt(random_, 40)) more.push_back(id);
  EXPECT_EQ(ask_again(*engine, more).usage.cached_tokens, known);
}

TEST_P(States, AnswersOfOnePromptPartWays) {
  const auto engine = loaded_.engine({.kv_tokens = 1 << 14});
  GenerationRequest request = request_of(random_prompt(random_, 300), 12, 1);
  request.candidates = 4;
  for (int round = 0; round < 2; ++round) {
    Outcomes outcomes;
    ASSERT_TRUE(engine->add(request).has_value());
    while (engine->step(collect(outcomes))) {
    }
    ASSERT_EQ(outcomes.size(), 4u);
    GenerationRequest one = request;
    one.candidates = 1;
    EXPECT_TRUE(outcomes.begin()->second.same_bits(alone(loaded_, one)));
    for (const auto& [key, outcome] : outcomes) EXPECT_EQ(outcome.tokens.size(), 12u);
  }
}

// With exactly what admission counts on, all of it runs: drafts, answers, prefixes that come and
// go.
TEST_P(States, WhatIsPromisedIsEnough) {
  const Blueprint& blueprint = loaded_.model->blueprint();
  const MemoryLayout layout(blueprint.states(), best_kernel_table().kv_format(KvType::kF16));
  const EngineSetup setup{.context = 700, .kv_tokens = 1 << 14, .step_tokens = 128};
  for (const std::size_t candidates : {1u, 3u}) {
    GenerationRequest request = request_of(random_prompt(random_, 600), 60, 2);
    const Outcome expected = alone(loaded_, request);
    request.candidates = candidates;
    request.draft = expected.tokens;
    for (std::size_t i = 3; i < request.draft.size(); i += 9)
      request.draft[i] = (request.draft[i] + 1) % 159;
    KvBudget budget(worst_case(layout, claim_of(request, 660, setup.executor())).total());
    const auto engine = loaded_.engine(setup, &budget);
    engine->use_step_seconds(std::vector<double>(64, 1.0));
    for (int round = 0; round < 3; ++round) {
      Outcomes outcomes;
      const auto id = engine->add(request);
      ASSERT_TRUE(id.has_value()) << id.error().message;
      while (engine->step(collect(outcomes))) ASSERT_LE(budget.held(), budget.limit());
      ASSERT_EQ(outcomes.size(), candidates);
      EXPECT_TRUE((outcomes[{*id, 0}].same_bits(expected)));
      EXPECT_GT((outcomes[{*id, 0}].usage.rejected_drafts), 0u);
      EXPECT_GT((outcomes[{*id, 0}].usage.accepted_drafts), 20u);
    }
  }
}

TEST_P(States, FitIsWhatStreamsTake) {
  const Footprint fit = footprint_of(loaded_, {.positions = 600, .streams = 3});
  const auto engine = loaded_.engine();
  const MemoryLayout& layout = engine->cache().store().layout();
  EXPECT_EQ(fit.state.total(), 3 * layout.state_bytes());
  expect_that_fit_is_promised(loaded_, 600);
}

TEST_P(States, ComeBackFromDisk) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "prefixes";
  const std::vector<TokenId> prompt = random_prompt(random_, 800);
  {
    const auto engine = loaded_.engine({.kv_tokens = 1 << 14});
    ask_again(*engine, prompt);
    ASSERT_TRUE(save_snapshot(engine->cache(), "this", path, UINT64_MAX));
  }
  const auto engine = loaded_.engine({.kv_tokens = 1 << 14});
  ASSERT_TRUE(load_snapshot(engine->cache(), "this", path));
  EXPECT_EQ(ask_again(*engine, prompt).usage.cached_tokens, 768u);
}

// Kept prefixes keep their states, and leave room for others.
TEST_P(States, OfKeptPrefixesStay) {
  const auto engine = loaded_.engine({.kv_tokens = 4096, .sequences = 2});
  const std::vector<TokenId> prompt = random_prompt(random_, 600);
  GenerationRequest request = request_of(prompt, 5, 1);
  request.keep_prefix = Milliseconds{600'000};
  ask(*engine, request);
  EXPECT_GT(engine->cache().index().kept_bytes(), engine->cache().store().layout().state_bytes());
  for (std::uint64_t i = 0; i < 12; ++i)
    ask(*engine, request_of(random_prompt(random_, 900), 5, i));
  EXPECT_EQ(ask_again(*engine, prompt).usage.cached_tokens, 512u);
}

INSTANTIATE_TEST_SUITE_P(Models, States,
                         ::testing::Values("qwen3next", "nemotron_h", "lfm2", "kimi-linear"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace lathe::infer
