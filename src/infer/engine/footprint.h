// What a model will take of the memory, from its header alone: by the same arithmetic that the
// executor, the cache and the engine book with. Pure; any thread.
#pragma once

#include "infer/engine/engine.h"

namespace lathe::infer {

struct Footprint {
  DeviceBytes weights;  // packed for the kernels
  DeviceBytes kv;       // of all streams between steps: all positions, and windows
  DeviceBytes step;     // of all streams: what the tokens of a step add to windows
  DeviceBytes state;    // of all streams: recurrent layers
  DeviceBytes scratch;  // of the forward pass, at the greatest depth
  // What the prefix index may keep of windows and states so that the streams' prompts can be gone
  // on from. It goes before anything else: not in the total.
  DeviceBytes prefix;
  DeviceBytes total() const { return weights + kv + step + state + scratch; }
  Footprint& operator+=(const Footprint& other);
};

struct Load {
  std::size_t positions = 0;  // of each stream
  std::size_t streams = 1;
};

// Refuses a context beyond the model's. `sizes` are those over load.positions, with `options`.
Result<Footprint> footprint(const Blueprint& blueprint, const ExecutorSizes& sizes,
                            const ExecutorOptions& options, const Load& load);

}  // namespace lathe::infer
