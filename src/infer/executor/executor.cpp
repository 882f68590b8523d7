// What every executor asks of a model.
#include "infer/executor/executor.h"

namespace lathe::infer {

Status check_kv(const Blueprint& blueprint, KvType kv) {
  for (const LayerSpec& layer : blueprint.layers) {
    const auto attends = layer.attends();
    if (kv != KvType::kQ8_0 || !attends) continue;
    for (const std::size_t dim : {attends->head.key, attends->head.value})
      if (dim % kActivationBlock != 0)
        return invalid(
            "heads of {} dimensions do not fit a q8_0 cache, whose blocks have {}; use f16", dim,
            kActivationBlock);
  }
  return {};
}

}  // namespace lathe::infer
