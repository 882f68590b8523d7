// Qwen3, its embedding and coder variants: split-half RoPE, an RMS norm on every q and k head.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.attention()->qk_norm = QkNorm::kHead;
  }
  return blueprint;
}

}  // namespace lathe::infer
