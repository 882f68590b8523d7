// The prediction from the header against the bytes that are booked.
#include "infer/engine/footprint.h"

#include <gtest/gtest.h>

#include "infer/models/attention.h"
#include "infer/models/tiny_model_test.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {
namespace {

class FootprintOf : public testing::TestWithParam<const char*> {};

TEST_P(FootprintOf, IsWhatTheEngineBooks) {
  auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" /
                         (std::string(GetParam()) + ".gguf"));
  ASSERT_TRUE(file.has_value());
  const auto blueprint = read_blueprint(*file);
  auto vocabulary = read_vocabulary(*file);
  ASSERT_TRUE(blueprint && vocabulary);
  const auto tokenizer = *Tokenizer::make(std::move(*vocabulary));
  for (const KernelTable* kernels : kernel_tables()) {
    for (const int threads : {1, 2}) {
      ThreadTeam team(threads);
      auto model = Model::load(*file, team, {.kernels = kernels, .progress = {}});
      ASSERT_TRUE(model.has_value());
      for (const KvType kv : {KvType::kF16, KvType::kQ8_0}) {
        const std::size_t positions = 1000, streams = 3;
        EngineOptions options{.kv = kv, .context = positions, .step_tokens = 100};
        options.kv_tokens = (positions + kChunk - 1) / kChunk * kChunk * streams;
        auto engine = Engine::create(**model, *tokenizer, team, options);
        ASSERT_TRUE(engine.has_value());
        const Load load{.positions = positions,
                        .streams = streams,
                        .threads = static_cast<std::size_t>(threads)};
        const auto predicted = footprint(*file, *blueprint, *kernels, options, load);
        ASSERT_TRUE(predicted.has_value());
        const Engine::Bytes fresh = (*engine)->bytes();
        EXPECT_EQ(predicted->weights, fresh.weights);
        EXPECT_EQ(predicted->kv, fresh.kv_pool);
        EXPECT_EQ(predicted->state, 0u);
        const std::uint64_t deep = Attention::deep_bytes(*blueprint, load.threads, load.positions);
        EXPECT_EQ(predicted->scratch, fresh.scratch + deep);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FootprintOf,
                         testing::Values("llama-q4_0", "llama-q4_k_m", "llama-q2_k", "llama-iq4_xs",
                                         "qwen2-q4_k_m", "qwen3-q4_k_m", "qwen3moe-mxfp4_moe",
                                         "mixtral-q4_0"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Heads of 8 and rows of 172, filled up for the kernels.
TEST(Footprints, OfSmallHeadsAreWhatTheEngineBooks) {
  const TempDir dir = *TempDir::make();
  for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0}) {
    write_small_heads(dir.path() / "model.gguf", type);
    const auto file = Gguf::open(dir.path() / "model.gguf");
    const auto blueprint = read_blueprint(*file);
    ASSERT_TRUE(blueprint) << blueprint.error().message;
    const auto tokenizer = *Tokenizer::make(*read_vocabulary(*file));
    for (const KernelTable* kernels : kernel_tables()) {
      ThreadTeam team(2);
      const auto model = Model::load(*file, team, {.kernels = kernels, .progress = {}});
      ASSERT_TRUE(model) << model.error().message;
      const std::size_t positions = 1000;
      EngineOptions options{.context = positions, .kv_tokens = 1024, .step_tokens = 100};
      const Load load{.positions = positions, .streams = 1, .threads = 2};
      const auto predicted = footprint(*file, *blueprint, *kernels, options, load);
      const auto engine = *Engine::create(**model, *tokenizer, team, options);
      EXPECT_EQ(predicted->weights, engine->bytes().weights);
      EXPECT_EQ(predicted->kv, engine->bytes().kv_pool);
      EXPECT_EQ(predicted->scratch,
                engine->bytes().scratch + Attention::deep_bytes(*blueprint, 2, positions));
      GenerationRequest request;
      request.prompt.assign(600, 65);
      request.max_tokens = 4;
      request.ignore_end = true;
      ASSERT_TRUE(engine->add(std::move(request)).has_value());
      const std::uint64_t fresh = engine->bytes().scratch;
      while (engine->step([](const TokenEvent&) {})) {
      }
      EXPECT_GT(engine->bytes().scratch, fresh);
      EXPECT_LE(engine->bytes().scratch, predicted->scratch);

      options.kv = KvType::kQ8_0;
      const auto refused = footprint(*file, *blueprint, *kernels, options, load);
      ASSERT_FALSE(refused.has_value());
      EXPECT_EQ(refused.error().message,
                "heads of 8 dimensions do not fit a q8_0 cache, whose blocks have 32; use f16");
      EXPECT_FALSE(Engine::create(**model, *tokenizer, team, options).has_value());
    }
  }
}

// Deep in their contexts the streams take at most what was foreseen.
TEST(Footprints, HoldAtDepth) {
  const auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf");
  const auto blueprint = read_blueprint(*file);
  const auto tokenizer = *Tokenizer::make(*read_vocabulary(*file));
  ThreadTeam team(2);
  const auto model = Model::load(*file, team, {.kernels = &best_kernel_table(), .progress = {}});
  const std::size_t positions = 1000, streams = 3;
  const EngineOptions options{.kv_tokens = 1024 * streams, .step_tokens = 100};
  const auto predicted = footprint(*file, *blueprint, best_kernel_table(), options,
                                   {.positions = positions, .streams = streams, .threads = 2});
  const auto engine = *Engine::create(**model, *tokenizer, team, options);
  const std::uint64_t fresh = engine->bytes().scratch;
  for (std::size_t i = 0; i < streams; ++i) {
    GenerationRequest request;
    request.prompt.assign(900 + i, 65);
    request.max_tokens = 4;
    request.ignore_end = true;
    ASSERT_TRUE(engine->add(std::move(request)).has_value());
  }
  while (engine->step([](const TokenEvent&) {})) {
  }
  EXPECT_GT(engine->bytes().scratch, fresh);
  EXPECT_LE(engine->bytes().scratch, predicted->scratch);
}

TEST(Footprints, RefuseAContextThatTheModelWasNotMadeFor) {
  const auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf");
  const auto blueprint = read_blueprint(*file);
  const auto result = footprint(*file, *blueprint, best_kernel_table(), {}, {.positions = 32769});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message,
            "a context of 32769 tokens was asked for; random llama-tiny was made for 32768");
}

}  // namespace
}  // namespace lathe::infer
