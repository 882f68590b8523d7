// Layers that see a window: what they compute against a model that sees everything of a shorter
// text, and that the memory they take is what `lathe fit` foretells and admission promises, to the
// byte.
#include <gtest/gtest.h>

#include <cmath>

#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

// The logits of the last token.
std::vector<float> last_logits(const Gguf& file, std::size_t window,
                               const std::vector<TokenId>& tokens) {
  ThreadTeam team(2);
  Blueprint blueprint = *read_blueprint(file);
  blueprint.layers[0].attention()->window = window;
  const auto model =
      *Model::load(file, blueprint, team, {.kernels = &best_kernel_table(), .progress = {}});
  const auto tokenizer = *Tokenizer::make(*read_vocabulary(file));
  const auto engine =
      *Engine::create(*CpuExecutor::create(*model, team, {.kv = KvType::kF32}), *tokenizer, {});
  std::vector<float> last;
  EXPECT_TRUE(engine->logits(
      tokens, [&](std::span<const float> row) { last.assign(row.begin(), row.end()); }));
  return last;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(squares / norm);
}

// A single layer with a window of w gives a token what one without gives it behind the w - 1 tokens
// before it: keys and values are those of single tokens, and RoPE only knows distances.
TEST(Windows, SeeAsManyTokensAsTheySay) {
  const TempDir dir = *TempDir::make();
  const fs::path path = dir.path() / "one.gguf";
  const TinyModel tiny{.layers = 1, .vocabulary = 512, .context = 1024, .spread = 0.2};
  write_tiny_model(path, tiny, [](GgufWriter& writer) { add_vocabulary(writer, 512); });
  const auto file = *Gguf::open(path);
  std::mt19937 random(1);
  const std::vector<TokenId> tokens = random_prompt(random, 700);
  for (const std::size_t window : {1u, 2u, 63u, 64u, 65u, 128u, 600u}) {
    const std::vector<float> seen = last_logits(file, window, tokens);
    const auto behind = [&](std::size_t count) {
      return distance(
          last_logits(file, 0, {tokens.end() - static_cast<std::ptrdiff_t>(count), tokens.end()}),
          seen);
    };
    const double right = behind(window);
    EXPECT_LT(right, 0.02) << window;
    EXPECT_LT(4 * right, behind(window + 1)) << window;
  }
  EXPECT_EQ(last_logits(file, 700, tokens), last_logits(file, 0, tokens)) << "nothing is hidden";
}

TEST(Windows, FitIsWhatAdmissionPromises) {
  Loaded loaded("windows");
  EXPECT_GT(footprint_of(loaded, {.positions = 1000, .streams = 3}).step.total(), 0u);
  expect_that_fit_is_promised(loaded, 1000);
}

TEST(Windows, AtRestTheyHoldTheirPositionsAndABlockWhateverTheContext) {
  Loaded loaded("windows");
  std::mt19937 random(3);
  const auto engine = loaded.engine({.kv_tokens = 4096, .reuse_prefixes = false});
  ASSERT_TRUE(engine->add(request_of(random_prompt(random, 1900), 20, 0)));
  Outcomes outcomes;
  const MemoryStore& store = engine->cache().store();
  while (engine->step(collect(outcomes))) {
    for (std::size_t g = 0; g < store.groups(); ++g) {
      const std::size_t window = store.layout().groups()[g].window;
      if (window == 0) continue;
      EXPECT_LE(store.pool(g).used_blocks(), blocks_for(window - 1) + 1);
    }
  }
}

TEST(Windows, ThePrefixIndexKeepsNoMoreThanFitSays) {
  Loaded loaded("windows");
  std::mt19937 random(6);
  const EngineSetup setup{.context = 2000, .kv_tokens = 1 << 16};
  const Footprint fit = footprint_of(loaded, {.positions = 1900, .streams = 1});
  const auto engine = loaded.engine(setup);
  ASSERT_TRUE(engine->add(request_of(random_prompt(random, 1880), 20, 0)));
  Outcomes outcomes;
  while (engine->step(collect(outcomes))) {
  }
  const MemoryStore& store = engine->cache().store();
  std::uint64_t kept = 0;
  for (std::size_t g = 0; g < store.groups(); ++g)
    if (store.layout().groups()[g].window != 0) kept += store.pool(g).used_bytes();
  EXPECT_GT(kept, 0u);
  EXPECT_LE(kept, fit.prefix.total());
}

// What the prefix index keeps of windows makes a warm start possible, is no more than foretold, and
// goes when somebody needs the memory.
TEST(Windows, PrefixesAreGoneOnFromCheckpointsAndGiveWay) {
  Loaded loaded("windows");
  std::mt19937 random(4);
  const EngineSetup setup{.context = 2000, .kv_tokens = 1 << 16};
  const Footprint fit = footprint_of(loaded, {.positions = 1900, .streams = 1});
  KvBudget budget((fit.kv + fit.step).total());
  const auto engine = loaded.engine(setup, &budget);
  const auto ask = [&](const std::vector<TokenId>& prompt) {
    Outcomes outcomes;
    const GenerationRequest request = request_of(prompt, 20, 1);
    EXPECT_TRUE(engine->add(request));
    while (engine->step(collect(outcomes))) EXPECT_LE(budget.held(), budget.limit());
    const Outcome& got = outcomes.begin()->second;
    EXPECT_TRUE(got.same_bits(alone(loaded, request, {.kv_tokens = 4096})));
    return got.usage.cached_tokens;
  };
  const std::vector<TokenId> prompt = random_prompt(random, 1400);
  EXPECT_EQ(ask(prompt), 0u);
  EXPECT_EQ(ask(prompt), 1399u);
  std::vector<TokenId> branch(prompt.begin(), prompt.begin() + 1100);
  for (const TokenId id : random_prompt(random, 300)) branch.push_back(id);
  const std::size_t cached = ask(branch);
  EXPECT_GE(cached, 1100 - kCheckpoint - kChunk);
  EXPECT_LE(cached, 1100u);
  // Another prompt that needs all there is.
  EXPECT_EQ(ask(random_prompt(random, 1880)), 0u);
  EXPECT_LE(engine->cache().remembered_bytes(), budget.limit());
}

}  // namespace
}  // namespace lathe::infer
