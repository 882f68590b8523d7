// Llama 1–3, Mistral, Mixtral, SmolLM, TinyLlama: interleaved RoPE, no norms inside attention,
// biases where the file has them, experts (Mixtral) with normalised weights.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_llama(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (LayerSpec& layer : blueprint.layers) layer.attention()->rope.neox = false;
  return blueprint;
}

}  // namespace lathe::infer
