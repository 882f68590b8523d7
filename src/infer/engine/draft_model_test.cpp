// Guesses change no bit, are those that their model would give, and cost no memory but their own.
#include "infer/engine/draft_model.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ground/base/file.h"
#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

constexpr std::uint64_t kPlenty = std::uint64_t{64} << 20;

std::unique_ptr<DraftModel> small_model(Loaded& loaded, std::uint64_t memory = kPlenty,
                                        VocabularyMap map = {}) {
  return *DraftModel::create(*CpuExecutor::create(*loaded.model, loaded.team, {.step_tokens = 64}),
                             memory, std::move(map));
}

// The layer of a file that predicts.
struct Predictor {
  explicit Predictor(Loaded& loaded)
      : model(*Model::load(
            loaded.file, **read_predictor(loaded.file, loaded.model->blueprint()), loaded.team,
            {.kernels = &best_kernel_table(), .progress = {}, .shares = loaded.model.get()})),
        team(&loaded.team) {}
  std::unique_ptr<DraftModel> guesser(std::uint64_t memory = kPlenty) {
    return *DraftModel::create(
        *CpuExecutor::create(*model, *team, {.step_tokens = 64, .keep_hidden = true}), memory);
  }
  std::unique_ptr<Model> model;
  ThreadTeam* team;
};

struct Guessed {
  std::size_t accepted = 0, rejected = 0;
};

// Requests that come while others run, with prompts of one beginning, are answered as alone.
Guessed expect_same_bits(Loaded& loaded, std::unique_ptr<DraftModel> guesser, bool greedy) {
  std::mt19937 random(5);
  EngineSetup setup{.kv_tokens = 1 << 14, .step_tokens = 100};
  setup.keep_hidden = guesser->reads_hidden();
  const auto engine = loaded.engine(setup);
  engine->use_draft_model(std::move(guesser), 0.01);
  engine->use_step_seconds(std::vector<double>(64, 1.0));
  const std::vector<TokenId> shared = random_prompt(random, 150);
  std::vector<GenerationRequest> requests;
  std::vector<SequenceId> ids;
  Outcomes outcomes;
  for (std::uint64_t i = 0; i < 6; ++i) {
    std::vector<TokenId> prompt = shared;
    const auto own = random_prompt(random, 20 + random() % 100);
    prompt.insert(prompt.end(), own.begin(), own.end());
    requests.push_back(request_of(prompt, 40, greedy ? 2 * i : i));
    ids.push_back(*engine->add(requests.back()));
    for (std::size_t steps = random() % 30; steps > 0; --steps) {
      engine->step(collect(outcomes));
      if (steps == 7) engine->give_way(ids.front());
    }
  }
  while (engine->step(collect(outcomes))) {
  }
  Guessed guessed;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Outcome& outcome = outcomes[{ids[i], 0}];
    EXPECT_TRUE(outcome.same_bits(alone(loaded, requests[i]))) << i;
    guessed.accepted += outcome.usage.accepted_drafts;
    guessed.rejected += outcome.usage.rejected_drafts;
  }
  return guessed;
}

class Guessers : public ::testing::TestWithParam<const char*> {};

// Whose guesses are the model's own are nearly always right.
TEST_P(Guessers, OneThatIsTheModelIsRight) {
  Loaded loaded(GetParam());
  const Guessed guessed = expect_same_bits(loaded, small_model(loaded), true);
  EXPECT_GT(guessed.accepted, 150u);
  EXPECT_LT(guessed.rejected, guessed.accepted / 5);
}

TEST_P(Guessers, AnotherOneIsWrongAndChangesNothing) {
  Loaded loaded(GetParam());
  // Of the same vocabulary, with other weights.
  Loaded other(loaded.tokenizer->size() == 319 ? "qwen2-q4_k_m" : "smollm3");
  const Guessed guessed = expect_same_bits(loaded, small_model(other), false);
  EXPECT_GT(guessed.rejected, 20u);
}

// It loses sequences, and nothing else.
TEST_P(Guessers, OneWithLittleMemoryChangesNothing) {
  Loaded loaded(GetParam());
  expect_same_bits(loaded, small_model(loaded, 200'000), true);
}

INSTANTIATE_TEST_SUITE_P(Models, Guessers,
                         ::testing::Values("llama-q4_k_m", "qwen3next", "gemma3", "kimi-linear"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

class Predicting : public ::testing::TestWithParam<const char*> {};

TEST_P(Predicting, ChangesNothing) {
  Loaded loaded(GetParam());
  Predictor predictor(loaded);
  const Guessed guessed = expect_same_bits(loaded, predictor.guesser(), false);
  EXPECT_GT(guessed.accepted + guessed.rejected, 20u);
}

INSTANTIATE_TEST_SUITE_P(Models, Predicting,
                         ::testing::Values("qwen35", "qwen35moe", "glm4moe", "deepseek32-mtp"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

// What a layer that predicts guesses is what the truth says, however the text came.
TEST(Predicting, GuessesWhatTheTruthSays) {
  Loaded loaded("qwen35");
  Predictor predictor(loaded);
  const auto bytes = *read_file(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/qwen35.mtp.f32");
  std::vector<float> truth(bytes.size() / sizeof(float));
  std::memcpy(truth.data(), bytes.data(), bytes.size());
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < 80; ++i)
    ids.push_back(static_cast<TokenId>((7 * i * i + 3 * i + 1) % 159));
  const auto executor =
      *CpuExecutor::create(*loaded.model, loaded.team, {.kv = KvType::kF32, .keep_hidden = true});
  KvBudget budget(kPlenty);
  auto store = *MemoryStore::create(executor->layout(), 4, budget, 1);
  for (const std::size_t cut : {1, 7, 40}) {
    const auto guesser = predictor.guesser();
    DraftModel::Trail trail = guesser->begin();
    SequenceMemory memory(store);
    for (std::size_t from = 0; from + 1 < ids.size(); from += cut) {
      const std::size_t count = std::min(cut, ids.size() - 1 - from);
      ASSERT_TRUE(memory.prepare(from, from + count));
      const Slice slice{.tokens = std::span(ids).subspan(from, count),
                        .first_position = from,
                        .memory = &memory,
                        .outputs = 1};
      executor->run({&slice, 1}, OutputKind::kLogits);
      memory.settle(from + count);
      const std::span<const float> first = executor->hidden(0);
      const auto known = std::span(ids).first(from + count + 1);
      guesser->observe(trail, known, from, {first.data(), count * first.size()});
      guesser->propose(std::vector{DraftModel::Ask{&trail, known, 3}});
      ASSERT_EQ(trail.guess().size(), 3u);
      const auto row = std::span(truth).subspan((from + count - 1) * 160, 160);
      EXPECT_EQ(trail.guess().front(), std::ranges::max_element(row) - row.begin())
          << "behind " << known.size() << " tokens, in pieces of " << cut;
    }
  }
}

TEST(Guesses, AreMadeWhereTheyPay) {
  const std::vector<double> flat(64, 1.0);
  std::vector<double> steep;
  for (int i = 1; i <= 64; ++i) steep.push_back(i);
  EXPECT_EQ(guesses_worth(0.9, 0.0, 1, flat), DraftModel::kMostGuesses);
  EXPECT_EQ(guesses_worth(0.9, 0.0, 1, steep), 0u) << "a checked token costs a token";
  EXPECT_EQ(guesses_worth(0.9, 1.0, 1, flat), 0u) << "and so does a guessed one";
  EXPECT_EQ(guesses_worth(0.1, 0.2, 1, flat), 0u);
  // (1 + 0.5) / 1.2 > (1 + 0.5 + 0.25) / 1.4, by hand: 1.25 and 1.25, the shorter one.
  EXPECT_EQ(guesses_worth(0.5, 0.2, 1, flat), 1u);
  EXPECT_EQ(guesses_worth(0.5, 0.1, 1, flat), 2u);  // 1.364, 1.458, 1.442
  EXPECT_EQ(guesses_worth(0.9, 0.0, 60, flat), 0u) << "the step has no room";
  EXPECT_EQ(guesses_worth(0.9, 0.0, 1, {}), 0u);
}

TEST(Guesses, AreOfWordsThatBothKnow) {
  Loaded small("smollm3"), large("llama-q4_k_m");
  EXPECT_TRUE(VocabularyMap::make(*small.tokenizer, *small.tokenizer)->to_draft.empty());
  const auto map = VocabularyMap::make(*small.tokenizer, *large.tokenizer);
  ASSERT_TRUE(map.has_value()) << map.error().message;
  std::size_t known = 0;
  for (std::size_t id = 0; id < map->to_draft.size(); ++id) {
    const TokenId theirs = map->to_draft[id];
    if (theirs == kNoToken) continue;
    ++known;
    EXPECT_EQ(small.tokenizer->piece(static_cast<TokenId>(id), true),
              large.tokenizer->piece(theirs, true));
    EXPECT_EQ(map->from_draft[static_cast<std::size_t>(theirs)], static_cast<TokenId>(id));
  }
  EXPECT_GT(known, 80u);
  const Guessed guessed = expect_same_bits(small, small_model(large, kPlenty, *map), false);
  EXPECT_GT(guessed.rejected, 20u);
  const auto refused = VocabularyMap::make(*large.tokenizer, *small.tokenizer);
  EXPECT_EQ(refused.has_value(), known * 2 >= large.tokenizer->size());
}

}  // namespace
}  // namespace lathe::infer
