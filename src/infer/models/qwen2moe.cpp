// Qwen1.5- and Qwen2-MoE: Qwen2's attention, weights of the chosen experts as they are, and one
// more expert that every token takes, opened by a gate.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen2moe(const ArchitectureKeys& keys) {
  constexpr std::size_t kMost = std::size_t{1} << 24;
  LATHE_TRY(Blueprint blueprint, read_qwen2(keys));
  for (LayerSpec& layer : blueprint.layers) {
    FfnSpec& ffn = layer.ffn;
    if (ffn.experts == 0)
      return invalid("{}: {} is 0 in a qwen2moe model; it must name the number of experts",
                     keys.file().path().string(), keys.name("expert_count"));
    const std::size_t dense = ffn.hidden;
    LATHE_TRY(ffn.hidden,
              keys.size_or("expert_feed_forward_length",
                           std::max<std::size_t>(1, dense / ffn.experts_used), 1, kMost));
    LATHE_TRY(ffn.shared_hidden,
              keys.size_or("expert_shared_feed_forward_length", dense, 1, kMost));
    LATHE_TRY(ffn.normalize_weights,
              keys.file().boolean_or(keys.name("expert_weights_norm"), false));
    ffn.shared_gate = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
