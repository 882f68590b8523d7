// Qwen2 and 2.5: split-half RoPE, biases on q, k and v.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.attention()->qkv_bias = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
