// GLM-4 (dense) with norms before and behind its parts, and GLM-4.5 and 4.6 with experts.
#include "infer/models/blueprint.h"
#include "infer/models/tensors.h"

namespace lathe::infer {

Result<Blueprint> read_glm4(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (LayerSpec& layer : blueprint.layers) {
    layer.post_norms = true;
    layer.ffn.joint = true;
  }
  return blueprint;
}

Result<Blueprint> read_glm4moe(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    AttentionSpec& attention = *layer.attention();
    attention.rope.neox = true;
    if (keys.file().find_tensor(tensor_name(Slot::kQNorm, i)) != nullptr)
      attention.qk_norm = QkNorm::kHead;
    layer.ffn.after_attention = true;
    layer.ffn.router = RouterRule::kSigmoid;
  }
  return blueprint;
}

}  // namespace lathe::infer
