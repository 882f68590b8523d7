// For tests of the engine: models with their engines, requests, and what they got, to the bit.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <map>
#include <random>

#include "infer/cpu/cpu_executor.h"
#include "infer/engine/engine.h"
#include "infer/engine/footprint.h"
#include "infer/models/tiny_model_test.h"
#include "infer/models/vocabulary.h"

namespace lathe::infer {

// deepseek32.gguf whose last layer predicts, with any weights where its file has none.
inline void write_predicting(const fs::path& path) {
  const auto file = *Gguf::open(fs::path(LATHE_SOURCE_DIR) / "tests/data/models/deepseek32.gguf");
  auto writer = *GgufWriter::create(path);
  for (const auto& [key, value] : file.metadata()) writer.add(key, value);
  writer.add("deepseek32.nextn_predict_layers", std::uint64_t{1});
  for (const GgufTensor& tensor : file.tensors())
    writer.add_tensor(tensor.name, tensor.type, std::span(tensor.shape).first(tensor.dimensions));
  const std::uint64_t join[] = {64, 32}, norm[] = {32};
  writer.add_tensor("blk.2.nextn.eh_proj.weight", TensorType::kF32, join);
  writer.add_tensor("blk.2.nextn.enorm.weight", TensorType::kF32, norm);
  writer.add_tensor("blk.2.nextn.hnorm.weight", TensorType::kF32, norm);
  EXPECT_TRUE(writer.begin_data());
  for (const GgufTensor& tensor : file.tensors()) {
    std::vector<std::byte> bytes(tensor.bytes);
    EXPECT_TRUE(file.read(tensor, 0, bytes) && writer.write(bytes));
  }
  std::vector<float> weights(64 * 32);
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(uniform_at(1, 0, i)) - 0.5f;
  const std::vector<float> ones(32, 1.0f);
  for (const std::span<const float> values :
       std::array<std::span<const float>, 3>{weights, ones, ones})
    EXPECT_TRUE(writer.write(std::as_bytes(values)));
  EXPECT_TRUE(writer.finish());
}

// "small-heads", "windows" and "deepseek32-mtp" are made here.
inline fs::path model_path(const std::string& name) {
  static const TempDir directory = *TempDir::make();
  if (name == "deepseek32-mtp") {
    const fs::path path = directory.path() / (name + ".gguf");
    if (!fs::exists(path)) write_predicting(path);
    return path;
  }
  if (name == "small-heads" || name == "windows") {
    const fs::path path = directory.path() / "small-heads.gguf";
    if (!fs::exists(path)) write_small_heads(path, TensorType::kQ8_0);
    return path;
  }
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/models" / (name + ".gguf");
}

// Of "windows", which is "small-heads" with windows of two sizes beside layers that see everything.
inline Blueprint with_windows(Blueprint blueprint) {
  constexpr std::size_t kWindows[] = {128, 0, 128, 0, 30};
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i)
    blueprint.layers[i].attention()->window = kWindows[i];
  return blueprint;
}

// Of an engine and its executor.
struct EngineSetup {
  KvType kv = KvType::kF16;
  std::size_t context = 0, kv_tokens = 4096, step_tokens = 512, sequences = 32;
  bool reuse_prefixes = true;
  bool keep_hidden = false;

  ExecutorOptions executor() const {
    return {.kv = kv, .step_tokens = step_tokens, .context = context, .keep_hidden = keep_hidden};
  }
  EngineOptions engine() const {
    return {.context = context,
            .kv_tokens = kv_tokens,
            .sequences = sequences,
            .reuse_prefixes = reuse_prefixes};
  }
};

struct Loaded {
  explicit Loaded(const std::string& name, int threads = 2)
      : file(*Gguf::open(model_path(name))), team(threads) {
    auto vocabulary = read_vocabulary(file);
    EXPECT_TRUE(vocabulary.has_value());
    tokenizer = *Tokenizer::make(std::move(*vocabulary));
    Blueprint blueprint = *read_blueprint(file);
    if (name == "windows") blueprint = with_windows(std::move(blueprint));
    auto loaded = Model::load(file, std::move(blueprint), team,
                              {.kernels = &best_kernel_table(), .progress = {}});
    EXPECT_TRUE(loaded.has_value());
    model = std::move(*loaded);
  }
  Result<std::unique_ptr<Engine>> create(const EngineSetup& setup, KvBudget* budget = nullptr) {
    LATHE_TRY(auto executor, CpuExecutor::create(*model, team, setup.executor()));
    return Engine::create(std::move(executor), *tokenizer, setup.engine(), budget);
  }
  std::unique_ptr<Engine> engine(const EngineSetup& setup = {}, KvBudget* budget = nullptr) {
    auto made = create(setup, budget);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    return std::move(*made);
  }
  Gguf file;
  ThreadTeam team;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Model> model;
};

// Everything a request got, with the bits of its logprobs.
struct Outcome {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::string text;
  std::optional<StopReason> reason;
  SequenceUsage usage;

  bool same_bits(const Outcome& other) const {
    return tokens == other.tokens && text == other.text && reason == other.reason &&
           std::equal(logprobs.begin(), logprobs.end(), other.logprobs.begin(),
                      other.logprobs.end(), [](float a, float b) {
                        return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
                      });
  }
};

using Outcomes = std::map<std::pair<SequenceId, std::size_t>, Outcome>;

inline Engine::Sink collect(Outcomes& outcomes) {
  return [&outcomes](const TokenEvent& event) {
    Outcome& outcome = outcomes[{event.request, event.candidate}];
    EXPECT_FALSE(outcome.reason.has_value()) << "an event after the end";
    if (event.token != kNoToken) outcome.tokens.push_back(event.token);
    for (const TokenLogprob& entry : event.top) outcome.logprobs.push_back(entry.logprob);
    outcome.text += event.text;
    outcome.reason = event.finished;
    if (event.finished) outcome.usage = event.usage;
  };
}

inline GenerationRequest request_of(std::vector<TokenId> prompt, std::size_t max_tokens,
                                    std::uint64_t seed) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampler.seed = seed;
  request.sampler.temperature = seed % 2 == 0 ? 0.0f : 1.0f;
  request.top_logprobs = 20;
  request.ignore_end = true;
  return request;
}

// Tokens that every model here knows.
inline std::vector<TokenId> random_prompt(std::mt19937& random, std::size_t size) {
  std::vector<TokenId> ids(size);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % 159);
  return ids;
}

inline Outcome alone(Loaded& loaded, const GenerationRequest& request, EngineSetup setup = {}) {
  setup.reuse_prefixes = false;
  auto engine = loaded.engine(setup);
  Outcomes outcomes;
  EXPECT_TRUE(engine->add(request).has_value());
  while (engine->step(collect(outcomes))) {
  }
  EXPECT_EQ(outcomes.size(), 1u);
  return outcomes.begin()->second;
}

inline Footprint footprint_of(const Loaded& loaded, const Load& load) {
  const Blueprint& blueprint = loaded.model->blueprint();
  const ExecutorSizes sizes =
      *cpu_sizes(loaded.file, blueprint, {.kernels = &best_kernel_table()}, {}, load.positions);
  return *footprint(blueprint, sizes, {}, load);
}

// With the bytes that `lathe fit` says three streams run at once, with one byte less two; and
// between steps, at the end of all three, they hold what it calls KV and state.
inline void expect_that_fit_is_promised(Loaded& loaded, std::size_t positions) {
  constexpr std::size_t kAnswer = 100;
  std::mt19937 random(2);
  const EngineSetup setup{.context = positions, .kv_tokens = 1 << 16, .reuse_prefixes = false};
  const Footprint fit = footprint_of(loaded, {.positions = positions, .streams = 3});
  for (const std::size_t less : {0, 1}) {
    KvBudget budget((fit.kv + fit.step + fit.state).total() - less);
    const auto engine = loaded.engine(setup, &budget);
    for (std::uint64_t i = 0; i < 3; ++i)
      ASSERT_TRUE(engine->add(request_of(random_prompt(random, positions - kAnswer), kAnswer, i)));
    Outcomes outcomes;
    engine->step(collect(outcomes));
    EXPECT_EQ(engine->running(), 3 - less);
    std::uint64_t most = 0;
    while (engine->step(collect(outcomes))) {
      ASSERT_LE(budget.held(), budget.limit());
      most = std::max(most, engine->bytes().kv_used);
    }
    if (less == 0) {
      EXPECT_EQ(most, (fit.kv + fit.state).total());
    }
    for (const auto& [key, outcome] : outcomes) EXPECT_EQ(outcome.tokens.size(), kAnswer);
  }
}

}  // namespace lathe::infer
