// Rounds of the same answers, until there were as many losses as are wanted.
#include "gpu/soak.h"

#include "gpu/emulated_device.h"
#include "infer/engine/loaded_test.h"
#include "infer/offload/accelerator.h"

namespace lathe::infer {
namespace {

Outcomes streams_of(Loaded& loaded, Accelerator* accelerator, const SoakWish& wish) {
  auto executor =
      *CpuExecutor::create(*loaded.model, loaded.team, {.step_tokens = 40}, nullptr,
                           accelerator != nullptr ? accelerator->multiplier() : nullptr);
  auto engine = *Engine::create(std::move(executor), *loaded.tokenizer,
                                {.kv_tokens = wish.streams * (wish.tokens + 128)});
  Outcomes outcomes;
  std::mt19937 random(wish.seed);
  for (std::uint64_t i = 0; i < wish.streams; ++i)
    EXPECT_TRUE(engine->add(request_of(random_prompt(random, 3 + 5 * i), wish.tokens, i)));
  while (engine->step(collect(outcomes))) {
  }
  return outcomes;
}

}  // namespace

SoakResult soak(const SoakWish& wish, const std::function<void(const SoakResult&)>& told) {
  Loaded loaded("qwen3-q4_k_m");
  const Outcomes want = streams_of(loaded, nullptr, wish);
  std::mt19937 random(wish.seed);
  // A step has some 40 kernels: several times within one, or after a few.
  const auto device = [&random] {
    return std::make_unique<EmulatedDevice>(EmulatedOptions{.loses_after = random() % 120});
  };
  SoakResult result;
  AcceleratorOptions options;
  for (const ProductKernels& kernels : product_kernels())
    options.trust.products.push_back(&kernels);
  options.trust.steps = step_kernels().all();
  options.least_work = 0;
  options.most_losses = SIZE_MAX;
  // No time passes between a loss and its end.
  options.now = [now = std::chrono::steady_clock::time_point()]() mutable {
    return now += std::chrono::seconds(1000);
  };
  options.open = [&]() -> Result<std::unique_ptr<Device>> {
    ++result.back;
    return device();
  };
  Accelerator accelerator(device(), options);
  while (result.losses < wish.losses) {
    const Outcomes got = streams_of(loaded, &accelerator, wish);
    for (const auto& [key, outcome] : want) {
      const auto found = got.find(key);
      ++result.answers;
      result.differ += found == got.end() || !found->second.same_bits(outcome);
    }
    result.losses = accelerator.state().losses;
    if (told) told(result);
  }
  return result;
}

}  // namespace lathe::infer
