// Tiny models of each architecture with random weights, against llama.cpp's logits and an
// independent float64 evaluation of the same weights; and the same bits however the text was cut
// into steps, on every kernel table.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "infer/cpu/cpu_executor.h"
#include "infer/cpu/known_answers_test.h"

namespace lathe::infer {
namespace {

struct Oracle {
  const char* name;
  std::size_t tokens;
  double tolerance;  // of the relative error against the truth; 0: 1.2 times the peer's
  std::size_t context = 512;
  const char* answer = "";  // of several for one file: what its name has behind the file's
  std::size_t steps = 4;    // of the lengths below, so many are tried
  std::size_t most = 0;     // positions that its indexers choose; 0: as the file says
};
constexpr std::size_t kSteps[] = {128, 64, 33, 1};

constexpr Oracle kOracles[] = {
    {"gpt-oss", 48, 1e-5},
    {"gpt-oss-mxfp4", 48, 0},
    {"gpt-oss-q8_0", 48, 0},
    {"qwen3next", 80, 2e-5},
    {"qwen35", 80, 1.2e-5},
    {"qwen35-q8_0", 80, 0},
    {"qwen35moe", 80, 1.9e-5},
    {"gemma2", 48, 1e-5},
    {"gemma3", 48, 1e-5},
    {"gemma3-q8_0", 48, 0},
    {"gemma3-q4_k", 48, 0},
    {"glm4", 48, 1e-5},
    {"glm4moe", 48, 1e-5},
    {"glm4moe-q4_k", 48, 0},
    {"granite", 48, 1e-5},
    {"granitemoe", 48, 1e-5},
    {"smollm3", 48, 1e-5},
    {"seed_oss", 48, 1e-5},
    {"olmo2", 48, 1e-5},
    {"olmo3", 48, 1e-5},
    {"command-r", 48, 1e-5},
    {"cohere2", 48, 1e-5},
    {"mistral3", 48, 1e-5},
    {"hunyuan-moe", 48, 1e-5},
    {"minimax-m2", 48, 1e-5},
    {"ernie4_5-moe", 48, 1e-5},
    {"nemotron_h", 80, 1e-5},
    {"nemotron_h_moe", 80, 1e-5},
    {"granitehybrid", 80, 1e-5},
    {"granitehybrid-moe", 80, 1e-5},
    {"lfm2", 48, 1e-5},
    {"lfm2moe", 48, 1e-5},
    {"deepseek2-v3", 48, 1e-5},
    {"deepseek2-v3-q8_0", 48, 0},
    {"deepseek2-v2lite", 48, 1.3e-4},
    {"deepseek32", 48, 1e-5},
    {"glm-dsa", 48, 1e-5},
    // Chosen among several chunks, to more than one, and to several groups, which the last few
    // tokens share out to the threads; the files have the last 60 rows. If all positions were seen,
    // they would be off by 0.97 and 0.4.
    {"deepseek32", 200, 1e-5, 512, ".most80", 4, 80},
    {"glm-dsa", 600, 1e-5, 1024, ".most530", 3, 530},
    {"kimi-linear", 80, 1e-5},
    {"phi3", 48, 1e-5},
    {"phi3", 48, 1e-5, 1024, ".long"},
    {"gemma4", 48, 5.2e-5},
    {"gemma4-moe", 48, 1e-5},
    {"gemma4-moe-q8_0", 48, 0},
    {"qwen2moe", 48, 1e-5},
    {"nemotron_h_moe-latent", 80, 1e-5},
    // Past the chunk of 8192; the file has the last 60 rows.
    {"llama4", 8250, 5e-5, 16384, "", 1},
};

// All logits, and with `hidden` all hidden states.
std::vector<float> logits_of(CpuExecutor& executor, std::span<const std::int32_t> ids,
                             std::size_t step, const float* beside = nullptr,
                             std::vector<float>* hidden = nullptr) {
  const std::size_t width = executor.blueprint().embedding;
  KvBudget budget(std::uint64_t{1} << 30);
  auto store = *MemoryStore::create(executor.layout(), blocks_for(ids.size()) + 2, budget, 1);
  SequenceMemory memory(store);
  std::vector<float> logits;
  for (std::size_t from = 0; from < ids.size(); from += step) {
    const std::size_t count = std::min(step, ids.size() - from);
    EXPECT_TRUE(memory.prepare(from, from + count).has_value());
    const Slice slice{.tokens = ids.subspan(from, count),
                      .first_position = from,
                      .memory = &memory,
                      .outputs = count,
                      .beside = beside == nullptr ? nullptr : beside + from * width};
    executor.run({&slice, 1}, OutputKind::kLogits);
    EXPECT_EQ(memory.settle(from + count), from + count);
    for (std::size_t i = 0; i < count; ++i) {
      logits.insert(logits.end(), executor.output(i).begin(), executor.output(i).end());
      if (hidden == nullptr) continue;
      hidden->insert(hidden->end(), executor.hidden(i).begin(), executor.hidden(i).end());
    }
  }
  return logits;
}

std::vector<float> evaluate(const Oracle& oracle, const KernelTable& kernels, std::size_t step) {
  const Gguf file = *Gguf::open(data(std::string(oracle.name) + ".gguf"));
  ThreadTeam team(2);
  Blueprint blueprint = *read_runnable_blueprint(file);
  for (LayerSpec& layer : blueprint.layers)
    if (auto* latent = std::get_if<LatentAttentionSpec>(&layer.mixer); latent && oracle.most != 0)
      latent->indexer->most = oracle.most;
  auto model = Model::load(file, std::move(blueprint), team, {.kernels = &kernels, .progress = {}});
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return {};
  }
  const ExecutorOptions options{
      .kv = KvType::kF32, .step_tokens = step, .most_outputs = step, .context = oracle.context};
  const auto executor = *CpuExecutor::create(**model, team, options);
  const std::vector<float> logits =
      logits_of(*executor, ids_of(oracle.tokens, (*model)->blueprint().vocabulary), step);
  const ExecutorSizes foretold =
      *cpu_sizes(file, (*model)->blueprint(), {&kernels, 2}, options, oracle.tokens);
  EXPECT_TRUE(executor->scratch_bytes().fits(foretold.scratch));
  return logits;
}

class Oracles : public ::testing::TestWithParam<Oracle> {};

TEST_P(Oracles, AreMet) {
  const Oracle& oracle = GetParam();
  const std::string answer = std::string(oracle.name) + oracle.answer;
  const std::vector<float> peer = read_floats(data(answer + ".f32")), truth = truth_of(answer);
  const double tolerance =
      oracle.tolerance != 0 ? oracle.tolerance : 1.2 * relative_error(peer, truth);
  // Over thousands of tokens the scalar one would take a minute.
  const auto tables =
      kernel_tables().subspan(oracle.tokens > 1000 && kernel_tables().size() > 1 ? 1 : 0);
  const std::vector<float> first = evaluate(oracle, *tables.front(), kSteps[0]);
  ASSERT_GE(first.size(), truth.size());
  const auto last = first.end() - static_cast<std::ptrdiff_t>(truth.size());
  EXPECT_LE(relative_error({last, first.end()}, truth), tolerance);
  for (const KernelTable* kernels : tables)
    for (const std::size_t step : std::span(kSteps).first(oracle.steps))
      EXPECT_EQ(std::memcmp(first.data(), evaluate(oracle, *kernels, step).data(),
                            first.size() * sizeof(float)),
                0)
          << kernels->name << " in steps of " << step;
}

INSTANTIATE_TEST_SUITE_P(Models, Oracles, ::testing::ValuesIn(kOracles), [](const auto& oracle) {
  std::string name = std::string(oracle.param.name) + oracle.param.answer;
  std::erase_if(name, [](char c) { return c == '-' || c == '_' || c == '.'; });
  return name;
});

// A talker's logits are of its codes alone, which are the last tokens.
TEST(Talker, IsTheTruth) {
  const Gguf file = *Gguf::open(data("qwen3tts.gguf"));
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 24; ++i) ids.push_back((37 * i * i + 3 * i + 1) % 3230);
  ThreadTeam team(2);
  std::vector<float> first;
  for (const KernelTable* kernels : kernel_tables()) {
    const auto model = *Model::load(file, team, {.kernels = kernels, .progress = {}});
    EXPECT_EQ(model->blueprint().codes, 3072u);
    for (const std::size_t step : {24, 7, 1}) {
      const auto executor = *CpuExecutor::create(
          *model, team, {.kv = KvType::kF32, .step_tokens = step, .most_outputs = step});
      const std::vector<float> logits = logits_of(*executor, ids, step);
      if (first.empty()) first = logits;
      EXPECT_EQ(logits, first) << kernels->name << " in steps of " << step;
    }
  }
  EXPECT_LE(relative_error(first, read_floats(data("qwen3tts.f32"))), 1e-5);
}

// Layers that predict: row i of the truth follows from token i + 1 and the hidden state of token i.
struct PredictorOracle {
  const char* name;
  double tolerance;
};

class Predictors : public ::testing::TestWithParam<PredictorOracle> {};

TEST_P(Predictors, AreMet) {
  const auto& [name, tolerance] = GetParam();
  const Gguf file = *Gguf::open(data(std::string(name) + ".gguf"));
  const std::vector<float> truth = read_floats(data(std::string(name) + ".mtp.f32"));
  ThreadTeam team(2);
  std::vector<float> first;
  for (const KernelTable* kernels : kernel_tables()) {
    const LoadOptions load{.kernels = kernels, .progress = {}};
    const auto model = *Model::load(file, team, load);
    const auto predictor =
        *Model::load(file, **read_predictor(file, model->blueprint()), team,
                     {.kernels = kernels, .progress = {}, .shares = model.get()});
    const auto ids = ids_of(80, model->blueprint().vocabulary);
    std::vector<float> hidden;
    const ExecutorOptions whole{
        .kv = KvType::kF32, .step_tokens = 80, .most_outputs = 80, .keep_hidden = true};
    const std::vector<float> kept =
        logits_of(**CpuExecutor::create(*model, team, whole), ids, 80, nullptr, &hidden);
    EXPECT_EQ(kept, evaluate({name, 80, 0}, *kernels, 80)) << "keeping changes nothing";
    for (const std::size_t step : {80, 7, 1}) {
      const auto executor = *CpuExecutor::create(*predictor, team, whole);
      const std::vector<float> logits =
          logits_of(*executor, std::span(ids).subspan(1), step, hidden.data());
      ASSERT_EQ(logits.size(), truth.size());
      EXPECT_LE(relative_error(logits, truth), tolerance);
      if (first.empty()) first = logits;
      EXPECT_EQ(std::memcmp(first.data(), logits.data(), first.size() * sizeof(float)), 0)
          << kernels->name << " in steps of " << step;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Predictors,
                         ::testing::Values(PredictorOracle{"qwen35", 1.2e-5},
                                           PredictorOracle{"qwen35moe", 1.9e-5}),
                         [](const auto& oracle) { return std::string(oracle.param.name); });

}  // namespace
}  // namespace lathe::infer
