// LFM2, dense and with experts: short convolutions between gates, and attention in a few layers.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_lfm2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys, Mixers::kHybrid));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  LATHE_TRY(const std::size_t taps, keys.size("shortconv.l_cache", 2, 64));
  blueprint.embedding_norm = true;
  for (LayerSpec& layer : blueprint.layers) {
    if (AttentionSpec* attention = layer.attention()) {
      attention->rope.neox = true;
      attention->qk_norm = QkNorm::kHead;
    } else {
      layer.mixer = ShortConvolutionSpec{.width = blueprint.embedding, .taps = taps};
    }
  }
  return blueprint;
}

}  // namespace lathe::infer
