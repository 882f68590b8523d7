// MiniMax-M2: one norm over all heads of q and of k, RoPE on some dimensions of a head, sigmoids as
// probabilities of experts.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_minimax(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.attention()->qk_norm = QkNorm::kWhole;
  }
  return blueprint;
}

}  // namespace lathe::infer
