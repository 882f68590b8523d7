// Rows that are a grid, that see each other, or that bring more than an embedding. What a prompt
// with such pictures gives alone in one step, it gives to the bit however it is cut, in company,
// from a cold or a warm prefix, after it gave way, with drafts; and each of these shapes makes a
// difference. (That it is the right one: tests/e2e/media_logits_test.py.)
#include <gtest/gtest.h>

#include "infer/cache/snapshot.h"
#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

std::shared_ptr<const RowBlock> picture(std::mt19937& random, const Loaded& loaded,
                                        std::size_t rows, RowShape shape) {
  const std::size_t width = loaded.model->blueprint().row_width();
  std::vector<float> values(rows * width);
  for (float& value : values) value = static_cast<float>(random() % 2001) / 1000 - 1;
  return *RowBlock::make(width, std::move(values), shape);
}

// What the model is given in reality: grids where its positions have sections, else rows that see
// each other.
RowShape shape_for(const Loaded& loaded, std::size_t columns) {
  for (const LayerSpec& layer : loaded.model->blueprint().layers)
    if (const RopeSpec* rope = layer.rope(); rope != nullptr && rope->has_sections())
      return {.grid_columns = columns};
  return {.mutual = true};
}

std::vector<float> prompt_logits(Loaded& loaded, const Prompt& prompt, std::size_t step = 512) {
  auto executor =
      *CpuExecutor::create(*loaded.model, loaded.team, {.step_tokens = step, .most_outputs = step});
  auto engine = *Engine::create(std::move(executor), *loaded.tokenizer, {});
  std::vector<float> all;
  const Status status = engine->logits(
      prompt, [&](std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); });
  EXPECT_TRUE(status.has_value()) << status.error().message;
  return all;
}

class RowShapes : public ::testing::TestWithParam<const char*> {};

TEST_P(RowShapes, GiveTheSameBitsInRandomSchedules) {
  Loaded loaded(GetParam());
  std::mt19937 random(31);
  std::vector<std::shared_ptr<const RowBlock>> pictures;
  for (const auto& [rows, columns] : {std::pair{6u, 3u}, {70u, 7u}, {90u, 90u}, {64u, 2u}})
    pictures.push_back(picture(random, loaded, rows, shape_for(loaded, columns)));
  const std::vector<TokenId> words = random_prompt(random, 100);
  std::vector<GenerationRequest> requests;
  std::vector<Outcome> expected;
  for (std::uint64_t i = 0; i < 12; ++i) {
    // Many begin alike; some end with a picture, and so have all of it but a row in the index.
    GenerationRequest request = request_of({}, 1 + random() % 12, i);
    request.prompt.add(std::span(words).first(random() % 3 * 20));
    const std::size_t parts = 1 + random() % 3;
    for (std::size_t part = 0; part < parts; ++part) {
      request.prompt.add(pictures[random() % pictures.size()]);
      if (random() % 3 != 0) request.prompt.add(random_prompt(random, 1 + random() % 40));
    }
    expected.push_back(alone(loaded, request));
    requests.push_back(std::move(request));
  }
  std::size_t cached = 0, accepted = 0;
  for (int schedule = 0; schedule < 6; ++schedule) {
    auto engine = loaded.engine({.kv_tokens = 640 + random() % 2048,
                                 .step_tokens = 90 + random() % 60,
                                 .sequences = 1 + random() % 32,
                                 .reuse_prefixes = random() % 4 != 0});
    if (schedule % 2 == 0) engine->use_step_seconds(std::vector<double>(64, 1.0));
    Outcomes outcomes;
    std::map<SequenceId, std::size_t> which;
    for (int added = 0; added < 14 || !engine->idle();) {
      if (added < 14 && (random() % 3 == 0 || engine->idle())) {
        const std::size_t i = random() % requests.size();
        GenerationRequest request = requests[i];
        if (random() % 2 == 0) request.draft = expected[i].tokens;
        const auto id = engine->add(std::move(request));
        ASSERT_TRUE(id.has_value()) << id.error().message;
        which[*id] = i;
        ++added;
      }
      if (random() % 20 == 0) engine->give_way(which.rbegin()->first);
      engine->step(collect(outcomes), random() % 3 == 0 ? 1 + random() % 30 : SIZE_MAX);
    }
    for (const auto& [id, i] : which) {
      const Outcome& outcome = outcomes[{id, 0}];
      EXPECT_TRUE(outcome.same_bits(expected[i])) << "schedule " << schedule << ", request " << i;
      cached += outcome.usage.cached_tokens;
      accepted += outcome.usage.accepted_drafts;
    }
  }
  EXPECT_GT(cached, 500u);
  EXPECT_GT(accepted, 10u);
}

TEST_P(RowShapes, GiveTheSameBitsHoweverTheTextIsCut) {
  Loaded loaded(GetParam());
  std::mt19937 random(32);
  Prompt prompt(random_prompt(random, 11));
  for (const auto& [rows, columns] : {std::pair{40u, 8u}, {35u, 35u}}) {
    prompt.add(picture(random, loaded, rows, shape_for(loaded, columns)));
    prompt.add(random_prompt(random, 30));
  }
  const std::vector<float> whole = prompt_logits(loaded, prompt);
  for (const std::size_t step : {40u, 57u, 75u})
    EXPECT_EQ(prompt_logits(loaded, prompt, step), whole);
  EXPECT_EQ(prompt_logits(loaded, prompt, 40).size(), whole.size());
}

TEST_P(RowShapes, MakeADifferenceToWhatStandsBehindThem) {
  Loaded loaded(GetParam());
  std::mt19937 random(33);
  const std::size_t rows = 12, width = loaded.model->blueprint().row_width();
  const auto block = picture(random, loaded, rows, shape_for(loaded, 4));
  const std::vector<TokenId> front = random_prompt(random, 5), behind = random_prompt(random, 3);
  const auto last = [&](std::span<const float> values, RowShape shape) {
    Prompt prompt(front);
    prompt.add(*RowBlock::make(width, {values.begin(), values.end()}, shape));
    prompt.add(behind);
    std::vector<float> all = prompt_logits(loaded, prompt);
    const auto row = static_cast<std::ptrdiff_t>(loaded.model->blueprint().vocabulary);
    return std::vector<float>(all.end() - row, all.end());
  };
  const std::span<const float> values(block->row(0), rows * width);
  const std::vector<float> shaped = last(values, block->shape());
  EXPECT_NE(shaped, last(values, {}));
  if (block->shape().grid_columns != 0) {
    EXPECT_NE(shaped, last(values, {.grid_columns = 6}));
  }
  // Each part of a row.
  for (std::size_t part = 0; part <= loaded.model->blueprint().deepstack; ++part) {
    std::vector<float> other(values.begin(), values.end());
    other[part * loaded.model->blueprint().embedding] += 0.5f;
    EXPECT_NE(shaped, last(other, block->shape())) << part;
  }
}

TEST_P(RowShapes, CandidatesForkBehindThemAndSnapshotsBringThemBack) {
  const TempDir dir = *TempDir::make();
  Loaded loaded(GetParam());
  std::mt19937 random(34);
  GenerationRequest request = request_of(random_prompt(random, 20), 6, 1);
  request.prompt.add(picture(random, loaded, 84, shape_for(loaded, 12)));
  request.candidates = 3;
  const auto ask = [&](Engine& engine) {
    Outcomes outcomes;
    EXPECT_TRUE(engine.add(request));
    while (engine.step(collect(outcomes))) {
    }
    return outcomes;
  };
  auto engine = loaded.engine();
  Outcomes cold = ask(*engine), warm = ask(*engine);
  ASSERT_TRUE(save_snapshot(engine->cache(), "a model", dir.path() / "kv", UINT64_MAX));
  engine = loaded.engine();
  ASSERT_TRUE(load_snapshot(engine->cache(), "a model", dir.path() / "kv"));
  Outcomes restored = ask(*engine);
  ASSERT_EQ(cold.size(), 3u);
  // All but the last row, where no state would have to stand there, too.
  if (!engine->executor().layout().state_group()) {
    EXPECT_EQ(restored.begin()->second.usage.cached_tokens, 103u);
  }
  for (std::size_t c = 0; c < 3; ++c) {
    const Outcome& expected = cold.at({cold.begin()->first.first, c});
    EXPECT_TRUE(warm.at({warm.begin()->first.first, c}).same_bits(expected)) << c;
    EXPECT_TRUE(restored.at({restored.begin()->first.first, c}).same_bits(expected)) << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RowShapes,
                         ::testing::Values("llama-q4_0", "windows", "gemma3", "qwen35",
                                           "../media/gemma4v.llm", "../media/qwen2.5vl_merger.llm",
                                           "../media/qwen3vl_merger.llm"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

// Where the text has come to behind a grid is a matter of sections alone.
TEST(RowShapes, GridsAreRowsLikeAnyOthersToModelsWithoutSections) {
  Loaded loaded("llama-q4_0");
  std::mt19937 random(35);
  const auto block = picture(random, loaded, 12, {.grid_columns = 4});
  const std::size_t width = block->width();
  Prompt grid({1, 2}), rows({1, 2});
  grid.add(block);
  rows.add(*RowBlock::make(width, {block->row(0), block->row(0) + 12 * width}));
  for (Prompt* prompt : {&grid, &rows}) prompt->add(std::vector<TokenId>{3, 4, 5});
  EXPECT_EQ(prompt_logits(loaded, grid), prompt_logits(loaded, rows));
}

TEST(RowShapes, WhatNoStepCanHoldIsRefused) {
  std::mt19937 random(36);
  Loaded loaded("llama-q4_0");
  auto engine = loaded.engine({.step_tokens = 70});
  const auto refusal = [&](std::size_t rows, RowShape shape) {
    GenerationRequest request = request_of({1}, 4, 0);
    request.prompt.add(picture(random, loaded, rows, shape));
    const auto id = engine->add(std::move(request));
    return id ? "" : id.error().message;
  };
  EXPECT_EQ(refusal(70, {.mutual = true}), "");
  EXPECT_EQ(refusal(71, {.grid_columns = 71}), "");
  EXPECT_EQ(refusal(71, {.mutual = true}),
            "the prompt has 71 rows that see each other; at most 70 fit into a step");
  Prompt text({1});
  text.add(picture(random, loaded, 65, {.mutual = true}));
  EXPECT_EQ(engine->embed(text, Pooling::kMean).error().message,
            "the text has 65 rows that see each other; at most 64 fit into a step");
  Loaded sparse("deepseek32");
  text = Prompt({1});
  text.add(picture(random, sparse, 2, {.mutual = true}));
  EXPECT_EQ(sparse.engine()->embed(text, Pooling::kMean).error().message,
            "the text has rows that see each other; deepseek32 chooses what a token sees");
}

}  // namespace
}  // namespace lathe::infer
