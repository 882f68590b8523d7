// SmolLM3: Llama, without RoPE in every fourth layer.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_smollm3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i)
    if ((i + 1) % 4 == 0) blueprint.layers[i].attention()->rope = {};
  return blueprint;
}

}  // namespace lathe::infer
