// What every executor asks of a model.
#include "infer/executor/executor.h"

namespace lathe::infer {

Status check_kv(const Blueprint& blueprint, KvType kv) {
  for (const LayerSpec& layer : blueprint.layers) {
    const AttentionSpec* attention = layer.attention();
    if (kv == KvType::kQ8_0 && attention != nullptr &&
        attention->head_dim % kActivationBlock != 0) {
      return invalid(
          "heads of {} dimensions do not fit a q8_0 cache, whose blocks have {}; use f16",
          attention->head_dim, kActivationBlock);
    }
  }
  return {};
}

}  // namespace lathe::infer
