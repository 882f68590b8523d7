// A million positions: memory as `lathe fit` says it, and answers that know nothing of how far from
// the first token they are.
#include "infer/engine/loaded_test.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPositions = 1 << 20, kWindow = 128;

// One layer that sees a window. What a token gets there depends on the tokens of the window and on
// how far behind it they stand, however many came before.
TEST(LongContext, AMillionPositionsAreAsNearAsAThousand) {
  Loaded loaded("small-heads");
  Blueprint blueprint = *read_blueprint(loaded.file);
  blueprint.layers.resize(1);
  blueprint.layers[0].attention()->window = kWindow;
  blueprint.context = kPositions;
  loaded.model = *Model::load(loaded.file, std::move(blueprint), loaded.team,
                              {.kernels = &best_kernel_table(), .progress = {}});

  std::mt19937 random(8);
  std::vector<TokenId> prompt = random_prompt(random, kPositions - 8);
  const std::vector<TokenId> tail(prompt.end() - 1000, prompt.end());
  // Keys are kept as they were turned: rounded, those of a far position are other ones.
  const EngineSetup setup{
      .kv = KvType::kF32, .context = kPositions, .kv_tokens = kPositions, .reuse_prefixes = false};
  const Outcome near = alone(loaded, request_of(tail, 4, 2), setup);

  const ExecutorSizes sizes = *cpu_sizes(loaded.file, loaded.model->blueprint(),
                                         {&best_kernel_table(), 2}, setup.executor(), kPositions);
  const Footprint fit =
      *footprint(loaded.model->blueprint(), sizes, setup.executor(), {.positions = kPositions});
  EXPECT_LE((fit.kv + fit.state).total(), 128u << 10);  // a window and a block
  KvBudget budget((fit.kv + fit.step + fit.state).total());
  const auto engine = loaded.engine(setup, &budget);
  ASSERT_TRUE(engine->add(request_of(std::move(prompt), 4, 2)));
  const DeviceBytes scratch = engine->bytes().scratch;
  Outcomes outcomes;
  while (engine->step(collect(outcomes))) ASSERT_LE(budget.held(), budget.limit());
  EXPECT_TRUE(engine->bytes().scratch.fits(fit.scratch));
  EXPECT_LE(scratch.total(), fit.scratch.total());

  const Outcome& far = outcomes.begin()->second;
  ASSERT_EQ(far.tokens, near.tokens);
  ASSERT_EQ(far.logprobs.size(), near.logprobs.size());
  for (std::size_t i = 0; i < far.logprobs.size(); ++i)
    EXPECT_NEAR(far.logprobs[i], near.logprobs[i], 2e-5);
}

}  // namespace
}  // namespace lathe::infer
