// Mistral 3 (Ministral, Mistral Small, Devstral): Llama, with q grown at far positions.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_mistral3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const double temperature, keys.real_or("attention.temperature_scale", 0, 0, 1e3));
  for (LayerSpec& layer : blueprint.layers) {
    AttentionSpec& attention = *layer.attention();
    attention.temperature = temperature;
    LATHE_TRY(attention.temperature_length,
              keys.size_or("attention.temperature_length",
                           static_cast<std::size_t>(attention.rope.original_context), 1,
                           std::size_t{1} << 32));
  }
  return blueprint;
}

}  // namespace lathe::infer
