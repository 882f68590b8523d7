// What a model will take of the memory, from its header alone: by the same arithmetic that the
// loader, the cache and the forward pass book with. Pure; any thread.
#pragma once

#include "infer/engine/engine.h"

namespace lathe::infer {

struct Footprint {
  std::uint64_t weights = 0;  // packed for the kernels
  std::uint64_t kv = 0;       // of all streams between steps: all positions, and windows
  std::uint64_t step = 0;     // of all streams: what the tokens of a step add to windows
  std::uint64_t state = 0;    // of all streams: recurrent layers
  std::uint64_t scratch = 0;  // of the forward pass, at the greatest depth
  // What the prefix index may keep of windows and states so that the streams' prompts can be gone
  // on from. It goes before anything else: not in the total.
  std::uint64_t prefix = 0;
  std::uint64_t total() const { return weights + kv + step + state + scratch; }
};

struct Load {
  std::size_t positions = 0;  // of each stream
  std::size_t streams = 1;
  std::size_t threads = 1;
};

// Refuses a context beyond the model's, and heads that the KV type cannot hold. `options` says the
// KV type and the length of a step.
Result<Footprint> footprint(const Gguf& file, const Blueprint& blueprint,
                            const KernelTable& kernels, const EngineOptions& options,
                            const Load& load);

}  // namespace lathe::infer
