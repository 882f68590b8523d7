// The prediction from the header against the bytes that are booked.
#include "infer/engine/footprint.h"

#include <gtest/gtest.h>

#include "infer/cpu/cpu_executor.h"
#include "infer/models/tiny_model_test.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {
namespace {

Result<Footprint> footprint_of(const Gguf& file, const Processor& processor,
                               const ExecutorOptions& options, const Load& load) {
  LATHE_TRY(const Blueprint blueprint, read_blueprint(file));
  LATHE_TRY(const ExecutorSizes sizes,
            cpu_sizes(file, blueprint, processor, options, load.positions));
  return footprint(blueprint, sizes, options, load);
}

// What attention may take at depth, beside what an executor has from the start.
DeviceBytes deep_bytes(const Gguf& file, const Processor& processor, const ExecutorOptions& options,
                       std::size_t positions) {
  const Blueprint blueprint = *read_blueprint(file);
  const auto scratch = [&](std::size_t depth) {
    return cpu_sizes(file, blueprint, processor, options, depth)->scratch;
  };
  return scratch(positions).less(scratch(0));
}

class FootprintOf : public ::testing::TestWithParam<const char*> {};

TEST_P(FootprintOf, IsWhatTheEngineBooks) {
  auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" /
                         (std::string(GetParam()) + ".gguf"));
  ASSERT_TRUE(file.has_value());
  auto vocabulary = read_vocabulary(*file);
  ASSERT_TRUE(vocabulary);
  const auto tokenizer = *Tokenizer::make(std::move(*vocabulary));
  for (const KernelTable* kernels : kernel_tables()) {
    for (const int threads : {1, 2}) {
      ThreadTeam team(threads);
      auto model = Model::load(*file, team, {.kernels = kernels, .progress = {}});
      ASSERT_TRUE(model.has_value());
      for (const KvType kv : {KvType::kF16, KvType::kQ8_0, KvType::kQ4_0}) {
        const std::size_t positions = 1000, streams = 3;
        if (!check_kv((*model)->blueprint(), kv)) continue;
        const ExecutorOptions options{.kv = kv, .step_tokens = 100};
        const std::size_t kv_tokens = (positions + kChunk - 1) / kChunk * kChunk * streams;
        auto engine = Engine::create(*CpuExecutor::create(**model, team, options), *tokenizer,
                                     {.context = positions, .kv_tokens = kv_tokens});
        ASSERT_TRUE(engine.has_value());
        const Processor processor{kernels, static_cast<std::size_t>(threads)};
        const auto predicted =
            footprint_of(*file, processor, options, {.positions = positions, .streams = streams});
        ASSERT_TRUE(predicted.has_value());
        const Engine::Bytes fresh = (*engine)->bytes();
        EXPECT_EQ(predicted->weights, fresh.weights);
        EXPECT_EQ(predicted->state,
                  DeviceBytes("cpu", streams * (*engine)->cache().store().layout().state_bytes()));
        EXPECT_EQ(predicted->scratch,
                  fresh.scratch + deep_bytes(*file, processor, options, positions));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FootprintOf,
                         ::testing::Values("llama-q4_0", "llama-q4_k_m", "llama-q2_k",
                                           "llama-iq4_xs", "qwen2-q4_k_m", "qwen3-q4_k_m",
                                           "qwen3moe-mxfp4_moe", "mixtral-q4_0", "gpt-oss-mxfp4",
                                           "qwen3next", "qwen35-q8_0", "glm-dsa"),
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
    const auto tokenizer = *Tokenizer::make(*read_vocabulary(*file));
    for (const KernelTable* kernels : kernel_tables()) {
      ThreadTeam team(2);
      const auto model = Model::load(*file, team, {.kernels = kernels, .progress = {}});
      ASSERT_TRUE(model) << model.error().message;
      const std::size_t positions = 1000;
      ExecutorOptions options{.step_tokens = 100};
      const Processor processor{kernels, 2};
      const Load load{.positions = positions, .streams = 1};
      const auto predicted = footprint_of(*file, processor, options, load);
      const auto engine = *Engine::create(*CpuExecutor::create(**model, team, options), *tokenizer,
                                          {.context = positions, .kv_tokens = 1024});
      EXPECT_EQ(predicted->weights, engine->bytes().weights);
      EXPECT_EQ(predicted->kv, DeviceBytes("cpu", engine->bytes().kv_pool));
      EXPECT_EQ(predicted->scratch,
                engine->bytes().scratch + deep_bytes(*file, processor, options, positions));
      GenerationRequest request;
      request.prompt = std::vector<TokenId>(600, 65);
      request.max_tokens = 4;
      request.ignore_end = true;
      ASSERT_TRUE(engine->add(std::move(request)).has_value());
      const DeviceBytes fresh = engine->bytes().scratch;
      while (engine->step([](const TokenEvent&) {})) {
      }
      EXPECT_GT(engine->bytes().scratch.total(), fresh.total());
      EXPECT_TRUE(engine->bytes().scratch.fits(predicted->scratch));

      options.kv = KvType::kQ8_0;
      const auto refused = footprint_of(*file, processor, options, load);
      ASSERT_FALSE(refused.has_value());
      EXPECT_EQ(refused.error().message,
                "heads of 8 dimensions do not fit a q8_0 cache, whose blocks have 32; use f16");
      EXPECT_FALSE(CpuExecutor::create(**model, team, options).has_value());
    }
  }
}

// Deep in their contexts the streams take at most what was foreseen.
TEST(Footprints, HoldAtDepth) {
  const auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf");
  const auto tokenizer = *Tokenizer::make(*read_vocabulary(*file));
  ThreadTeam team(2);
  const auto model = Model::load(*file, team, {.kernels = &best_kernel_table(), .progress = {}});
  const std::size_t positions = 1000, streams = 3;
  const ExecutorOptions options{.step_tokens = 100};
  const auto predicted = footprint_of(*file, {&best_kernel_table(), 2}, options,
                                      {.positions = positions, .streams = streams});
  const auto engine = *Engine::create(*CpuExecutor::create(**model, team, options), *tokenizer,
                                      {.kv_tokens = 1024 * streams});
  const DeviceBytes fresh = engine->bytes().scratch;
  for (std::size_t i = 0; i < streams; ++i) {
    GenerationRequest request;
    request.prompt = std::vector<TokenId>(900 + i, 65);
    request.max_tokens = 4;
    request.ignore_end = true;
    ASSERT_TRUE(engine->add(std::move(request)).has_value());
  }
  while (engine->step([](const TokenEvent&) {})) {
  }
  EXPECT_GT(engine->bytes().scratch.total(), fresh.total());
  EXPECT_TRUE(engine->bytes().scratch.fits(predicted->scratch));
}

TEST(Footprints, RefuseAContextThatTheModelWasNotMadeFor) {
  const auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/llama-q4_0.gguf");
  const auto result = footprint_of(*file, {&best_kernel_table(), 1}, {}, {.positions = 32769});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message,
            "a context of 32769 tokens was asked for; random llama-tiny was made for 32768");
}

// An encoder's step is as long as its context, and it keeps K and V of one layer.
TEST(FootprintOfEncoders, IsWhatTheEngineBooks) {
  for (const char* name : {"bert", "modern-bert-rank", "gemma-embedding"}) {
    const auto file = Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models" /
                                 (std::string(name) + ".gguf"));
    const auto tokenizer = *Tokenizer::make(*read_vocabulary(*file));
    ThreadTeam team(2);
    const auto model = *Model::load(*file, team, {.kernels = &best_kernel_table(), .progress = {}});
    const std::size_t positions = 128;
    const ExecutorOptions options = ExecutorOptions().of(model->blueprint(), positions);
    const auto engine = *Engine::create(*CpuExecutor::create(*model, team, options), *tokenizer,
                                        {.context = positions, .kv_tokens = positions});
    const auto predicted =
        footprint_of(*file, {&best_kernel_table(), 2}, options, {.positions = positions});
    ASSERT_TRUE(predicted.has_value());
    EXPECT_EQ(predicted->weights, engine->bytes().weights);
    EXPECT_EQ(predicted->scratch, engine->bytes().scratch);
    EXPECT_EQ(predicted->kv.total(), engine->bytes().kv_pool);
    ASSERT_TRUE(engine->embed(std::vector<TokenId>(positions, 1), Pooling::kMean).has_value());
    EXPECT_EQ(predicted->scratch, engine->bytes().scratch);
    EXPECT_FALSE(engine->embed(std::vector<TokenId>(positions + 1, 1), Pooling::kMean));
    EXPECT_FALSE(engine->logits(std::vector<TokenId>{1}, [](std::span<const float>) {}));
    GenerationRequest request;
    request.prompt = std::vector<TokenId>{1};
    EXPECT_FALSE(engine->add(std::move(request)));
  }
}

}  // namespace
}  // namespace lathe::infer
