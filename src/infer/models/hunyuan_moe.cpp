// Hunyuan-A13B: q and k are normed behind RoPE; an expert that every token takes beside the others.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_hunyuan_moe(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.attention()->qk_norm = QkNorm::kHeadAfterRope;
  }
  return blueprint;
}

}  // namespace lathe::infer
