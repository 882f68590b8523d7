// The bytes that a model and its sequences take, before anything is loaded.
#include "infer/engine/footprint.h"

namespace lathe::infer {
namespace {
constexpr double kAddressable = 1e18;  // no sum of such numbers overflows
}

Footprint& Footprint::operator+=(const Footprint& other) {
  for (DeviceBytes Footprint::*part : {&Footprint::weights, &Footprint::kv, &Footprint::step,
                                       &Footprint::state, &Footprint::scratch, &Footprint::prefix})
    this->*part += other.*part;
  return *this;
}

Result<Footprint> footprint(const Blueprint& blueprint, const ExecutorSizes& sizes,
                            const ExecutorOptions& options, const Load& load) {
  LATHE_TRY_STATUS(check_context(blueprint, load.positions));
  const MemoryLayout& layout = sizes.layout;
  const double streams = static_cast<double>(load.streams);
  const auto blocks = static_cast<double>(blocks_for(load.positions + 1));
  if (static_cast<double>(layout.block_bytes()) * blocks * streams +
          static_cast<double>(layout.state_bytes()) * blocks * streams >
      kAddressable) {
    return invalid("the state of {} streams of {} tokens is more than any memory holds",
                   load.streams, load.positions);
  }
  const StateBytes rest = worst_case(layout, {.positions = load.positions});
  const StateBytes most = worst_case(
      layout,
      {.positions = load.positions, .prompt_step = std::min(load.positions, options.step_tokens)});
  const auto of_streams = [&](std::uint64_t bytes) {
    return DeviceBytes(kHostDevice, bytes * load.streams);
  };
  return Footprint{.weights = sizes.weights,
                   .kv = of_streams(rest.kv + rest.window),
                   .step = of_streams(most.window - rest.window),
                   .state = of_streams(rest.recurrent),
                   .scratch = sizes.scratch,
                   .prefix = of_streams(restart_bytes(layout, load.positions))};
}

}  // namespace lathe::infer
