// A sequence that rests or gives way, at any step and however often, gets the bits that it would
// have got, and its usage stays as it was: what is computed again is told apart.
#include <gtest/gtest.h>

#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

class GiveWay : public ::testing::TestWithParam<const char*> {};

// Ten kinds of models, ten schedules each: samplers with seeds, JSON under a grammar, drafts right
// and wrong, several candidates; with a prefix index and without, with room for all and for two.
TEST_P(GiveWay, ChangesNoBit) {
  Loaded loaded(GetParam());
  std::mt19937 random(11);
  std::vector<GenerationRequest> requests;
  std::vector<Outcomes> expected;
  for (std::uint64_t i = 0; i < 6; ++i) {
    GenerationRequest request = request_of(random_prompt(random, 20 + random() % 110), 16, i);
    if (i == 2) {
      request.grammar = *Grammar::any_json(*loaded.tokenizer);
      request.ignore_end = false;
    }
    if (i == 3) request.candidates = 3;
    requests.push_back(request);
    auto engine = loaded.engine({.reuse_prefixes = false});
    ASSERT_TRUE(engine->add(request));
    Outcomes& outcomes = expected.emplace_back();
    while (engine->step(collect(outcomes))) {
    }
    if (i >= 4) requests[i].draft = outcomes[{1, 0}].tokens;
    if (i == 5) requests[i].draft[5] = 1;
  }
  std::size_t gave_way = 0, again = 0;
  for (int schedule = 0; schedule < 10; ++schedule) {
    const EngineSetup setup{.kv_tokens = schedule % 3 == 0 ? std::size_t{1024} : std::size_t{4096},
                            .step_tokens = 16 + random() % 200,
                            .sequences = 3 + random() % 8,
                            .reuse_prefixes = schedule % 4 != 0};
    auto engine = loaded.engine(setup);
    if (schedule % 2 == 0) engine->use_step_seconds(std::vector<double>(64, 1.0));
    Outcomes outcomes;
    for (const GenerationRequest& request : requests) ASSERT_TRUE(engine->add(request));
    for (int step = 0; engine->step(collect(outcomes)); ++step) {
      for (const auto& part : engine->last_step().parts) again += part.again;
      for (SequenceId id = 1; id <= requests.size(); ++id) {
        engine->rest(id, random() % 4 == 0);
        if (step > 300 || random() % 6 != 0) continue;
        gave_way += engine->is_running(id) ? 1 : 0;
        engine->give_way(id);
        EXPECT_FALSE(engine->is_running(id));
      }
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (const auto& [key, alone] : expected[i]) {
        const Outcome& outcome = outcomes[{i + 1, key.second}];
        EXPECT_TRUE(outcome.same_bits(alone)) << "schedule " << schedule << ", request " << i;
        EXPECT_EQ(outcome.usage.prompt_tokens, alone.usage.prompt_tokens);
        EXPECT_EQ(outcome.usage.output_tokens, alone.usage.output_tokens);
      }
    }
    EXPECT_TRUE(engine->idle());
  }
  EXPECT_GT(gave_way, 50U);
  EXPECT_GT(again, 500U);
}

INSTANTIATE_TEST_SUITE_P(Models, GiveWay,
                         ::testing::Values("llama-q4_k_m", "qwen3moe-mxfp4_moe", "windows",
                                           "gpt-oss-mxfp4", "qwen3next", "qwen35", "gemma4",
                                           "deepseek2-v3", "glm-dsa", "kimi-linear"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(GiveWay, WhatNobodyNeededIsFoundAgain) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(1);
  const auto engine = loaded.engine();
  Outcomes outcomes;
  ASSERT_TRUE(engine->add(request_of(random_prompt(random, 200), 30, 1)));
  for (int i = 0; i < 10; ++i) engine->step(collect(outcomes));
  engine->give_way(1);
  engine->rest(1, true);
  EXPECT_EQ(engine->waiting(), 1U);
  EXPECT_EQ(engine->admissible(), 0U);
  engine->step(collect(outcomes));
  EXPECT_TRUE(engine->last_step().parts.empty()) << "it rests";
  engine->rest(1, false);
  engine->step(collect(outcomes));
  ASSERT_EQ(engine->last_step().parts.size(), 1U);
  EXPECT_EQ(engine->last_step().parts[0].again, 0U);
  EXPECT_EQ(engine->last_step().parts[0].answer, 1U);
  while (engine->step(collect(outcomes))) {
  }
  EXPECT_EQ((outcomes[{1, 0}].usage.cached_tokens), 0U) << "as if nothing had been";
  EXPECT_EQ((outcomes[{1, 0}].tokens.size()), 30U);
}

// Where the room goes to another one, all of it is computed again.
TEST(GiveWay, ItsRoomIsAnothersAtOnce) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(2);
  const auto engine = loaded.engine({.kv_tokens = 384, .sequences = 8});
  Outcomes outcomes;
  const GenerationRequest first = request_of(random_prompt(random, 200), 100, 1),
                          second = request_of(random_prompt(random, 250), 50, 3);
  ASSERT_TRUE(engine->add(first));
  for (int i = 0; i < 10; ++i) engine->step(collect(outcomes));
  ASSERT_TRUE(engine->add(second));
  engine->step(collect(outcomes));
  EXPECT_FALSE(engine->is_running(2)) << "there is no room";
  engine->rest(1, true);
  engine->give_way(1);
  engine->step(collect(outcomes));
  EXPECT_TRUE(engine->is_running(2));
  std::size_t again = 0;
  for (bool more = true; more;) {
    if (!engine->is_running(2)) engine->rest(1, false);
    more = engine->step(collect(outcomes));
    for (const auto& part : engine->last_step().parts)
      if (part.request == 1) again += part.again;
  }
  EXPECT_GE(again, 100U);
  EXPECT_TRUE((outcomes[{1, 0}].same_bits(alone(loaded, first))));
  EXPECT_TRUE((outcomes[{2, 0}].same_bits(alone(loaded, second))));
}

}  // namespace
}  // namespace lathe::infer
