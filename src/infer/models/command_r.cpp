// Command R and Command R7B (cohere2): layer norms, both parts of a layer read the same, logits are
// scaled. Cohere 2 sees a window in three of four layers, and knows positions in those alone.
#include "infer/models/blueprint.h"

namespace lathe::infer {
namespace {

Result<Blueprint> read_cohere(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  blueprint.norm = NormKind::kLayer;
  LATHE_TRY(const double logits, keys.real_or("logit_scale", 1, 1e-6, 1e6));
  blueprint.logit_scale = static_cast<float>(logits);
  for (LayerSpec& layer : blueprint.layers) layer.parallel = true;
  return blueprint;
}

}  // namespace

Result<Blueprint> read_command_r(const ArchitectureKeys& keys) {
  return read_cohere(keys);
}

Result<Blueprint> read_cohere2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_cohere(keys));
  LATHE_TRY_STATUS(read_windows(keys, blueprint, 4));
  for (LayerSpec& layer : blueprint.layers)
    if (layer.attention()->window == 0) layer.attention()->rope = {};
  return blueprint;
}

}  // namespace lathe::infer
