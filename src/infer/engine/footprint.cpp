// The bytes that a model and its sequences take, before anything is loaded.
#include "infer/engine/footprint.h"

#include "infer/models/attention.h"

namespace lathe::infer {
namespace {
constexpr double kAddressable = 1e18;  // no sum of such numbers overflows
}

Result<Footprint> footprint(const Gguf& file, const Blueprint& blueprint,
                            const KernelTable& kernels, const EngineOptions& options,
                            const Load& load) {
  LATHE_TRY_STATUS(check_context(blueprint, options.kv, load.positions));
  const auto states = blueprint.states();
  const MemoryLayout layout(states, kernels.kv_format(options.kv));
  const double streams = static_cast<double>(load.streams);
  const double blocks = static_cast<double>(load.positions / kChunk + 1);
  if (static_cast<double>(layout.block_bytes()) * blocks * streams +
          static_cast<double>(layout.recurrent_bytes()) * blocks * streams >
      kAddressable) {
    return invalid("{}: the state of {} streams of {} tokens is more than any memory holds",
                   file.path().string(), load.streams, load.positions);
  }
  const StateBytes rest = worst_case(layout, {.positions = load.positions});
  const StateBytes most = worst_case(
      layout,
      {.positions = load.positions, .prompt_step = std::min(load.positions, options.step_tokens)});
  Footprint bytes;
  bytes.weights = weight_bytes(file, blueprint, kernels);
  bytes.kv = (rest.kv + rest.window) * load.streams;
  bytes.step = (most.window - rest.window) * load.streams;
  bytes.state = rest.recurrent * load.streams;
  bytes.prefix = restart_bytes(layout, load.positions) * load.streams;
  bytes.scratch =
      ForwardSizes::of(blueprint, load.threads, options.step_tokens, options.step_outputs())
          .bytes();
  bytes.scratch += Attention::deep_bytes(blueprint, load.threads, load.positions);
  return bytes;
}

}  // namespace lathe::infer
