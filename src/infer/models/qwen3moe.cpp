// Qwen3-MoE: Qwen3's attention; the expert's own hidden size, weights of the chosen experts
// normalised.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen3moe(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_qwen3(keys));
  LATHE_TRY(const std::size_t hidden,
            keys.size("expert_feed_forward_length", 1, std::size_t{1} << 24));
  for (LayerSpec& layer : blueprint.layers) {
    if (layer.ffn.experts == 0) {
      return invalid("{}: {} is 0 in a qwen3moe model; it must name the number of experts",
                     keys.file().path().string(), keys.name("expert_count"));
    }
    layer.ffn.hidden = hidden;
  }
  return blueprint;
}

}  // namespace lathe::infer
