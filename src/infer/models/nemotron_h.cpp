// Nemotron-H and Nemotron 3: each layer is one part alone, Mamba-2, attention without positions, or
// a feed-forward part without a gate, dense or with experts.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_nemotron_h(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys, Mixers::kHybrid));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  LATHE_TRY(const Mamba2Spec mamba, read_mamba2(keys));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.ffn.activation = Activation::kReluSquared;
    if (layer.ffn.experts != 0) {
      LATHE_TRY(layer.ffn.latent, keys.size_or("moe_latent_size", 0, 0, blueprint.embedding));
    }
    if (AttentionSpec* attention = layer.attention()) attention->rope = {};
    if (!layer.has_mixer() && !layer.has_ffn()) layer.mixer = mamba;
  }
  return blueprint;
}

}  // namespace lathe::infer
