// What every executor asks of a model.
#include "infer/executor/executor.h"

namespace lathe::infer {

ExecutorOptions ExecutorOptions::of(const Blueprint& blueprint, std::size_t positions) const {
  ExecutorOptions options = *this;
  if (!blueprint.generates) options.step_tokens = options.most_outputs = positions;
  return options;
}

Status check_kv(const Blueprint& blueprint, KvType kv) {
  if (!blueprint.generates) return {};  // an encoder has no cache
  if (!is_quantized(kv)) return {};
  for (const StateSpec& state : blueprint.states()) {
    for (const std::size_t dim : {state.head.key, state.head.value, state.index_key})
      if (dim % kActivationBlock != 0)
        return invalid(
            "heads of {} dimensions do not fit a {} cache, whose blocks have {}; use f16", dim,
            kv_types()[static_cast<std::size_t>(kv)].name, kActivationBlock);
  }
  return {};
}

}  // namespace lathe::infer
