// Phi-3, 3.5 and 4-mini: q, k and v in one matrix, gate and up in another, LongRoPE. The window
// that a file may name is not the models'.
#include "infer/models/blueprint.h"
#include "infer/models/tensors.h"

namespace lathe::infer {

Result<Blueprint> read_phi3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.attention()->rope.neox = true;
    layer.attention()->joint_qkv = keys.file().find_tensor(tensor_name(Slot::kMixed, i)) != nullptr;
    if (layer.attention()->joint_qkv)
      layer.attention()->qkv_bias =
          keys.file().find_tensor(tensor_name(Slot::kMixedBias, i)) != nullptr;
    layer.ffn.joint = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
