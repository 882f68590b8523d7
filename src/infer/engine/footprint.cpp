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
  const KvFormat& format = kernels.kv_format(options.kv);
  const StateBytes chunk = state_bytes(states, format, kChunk);
  const double streams = static_cast<double>(load.streams);
  const double chunks = static_cast<double>(load.positions / kChunk + 1);
  if (static_cast<double>(chunk.kv + chunk.window) * chunks * streams +
          static_cast<double>(chunk.recurrent) * streams >
      kAddressable) {
    return invalid("{}: the state of {} streams of {} tokens is more than any memory holds",
                   file.path().string(), load.streams, load.positions);
  }
  const StateBytes one = state_bytes(states, format, load.positions);
  Footprint bytes;
  bytes.weights = weight_bytes(file, blueprint, kernels);
  bytes.kv = (one.kv + one.window) * load.streams;
  bytes.state = one.recurrent * load.streams;
  bytes.scratch =
      ForwardSizes::of(blueprint, load.threads, options.step_tokens, options.step_outputs())
          .bytes();
  bytes.scratch += Attention::deep_bytes(blueprint, load.threads, load.positions);
  return bytes;
}

}  // namespace lathe::infer
