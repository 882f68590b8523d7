// OLMo 2 and 3: norms behind the parts instead of before them, one norm over all heads of q and of
// k. OLMo 3 sees a window in three of four layers, whose RoPE is not stretched.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_olmo2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const std::size_t window, read_windows(keys, blueprint, 4));
  for (LayerSpec& layer : blueprint.layers) {
    layer.pre_norms = false;
    layer.post_norms = true;
    AttentionSpec& attention = *layer.attention();
    attention.qk_norm = QkNorm::kWhole;
    RopeSpec& rope = attention.rope;
    if (window != 0 && attention.window != 0)
      rope = {.dimensions = rope.dimensions, .base = rope.base};
    rope.neox = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
