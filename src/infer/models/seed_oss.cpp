// Seed-OSS: split-half RoPE, biases on q, k and v.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_seed_oss(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.ffn.after_attention = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
