// Gemma 2, 3 and EmbeddingGemma: embeddings grown by the root of their width, gelu, norms before
// and behind the parts, windows. Gemma 2 caps scores and logits; Gemma 3 has a RoPE of its own
// where it sees a window.
#include <cmath>

#include "infer/models/blueprint.h"

namespace lathe::infer {
namespace {

Result<Blueprint> read_gemma(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  blueprint.embedding_scale = std::sqrt(static_cast<float>(blueprint.embedding));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.ffn.activation = Activation::kGelu;
    layer.post_norms = true;
  }
  return blueprint;
}

}  // namespace

Result<Blueprint> read_gemma2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_gemma(keys));
  LATHE_TRY_STATUS(read_windows(keys, blueprint, 2));
  LATHE_TRY(const double scores, keys.real_or("attn_logit_softcapping", 50, 0, 1e6));
  LATHE_TRY(const double logits, keys.real_or("final_logit_softcapping", 30, 0, 1e6));
  blueprint.logit_cap = static_cast<float>(logits);
  for (LayerSpec& layer : blueprint.layers)
    layer.attention()->soft_cap = static_cast<float>(scores);
  return blueprint;
}

Result<Blueprint> read_gemma3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_gemma(keys));
  LATHE_TRY_STATUS(read_windows(keys, blueprint, 6));
  LATHE_TRY(const double base, keys.real_or("rope.freq_base_swa", 10000, 1, 1e12));
  LATHE_TRY(const double logits, keys.real_or("final_logit_softcapping", 0, 0, 1e6));
  blueprint.logit_cap = static_cast<float>(logits);
  for (LayerSpec& layer : blueprint.layers) {
    AttentionSpec& attention = *layer.attention();
    attention.qk_norm = QkNorm::kHead;
    if (attention.window != 0)
      attention.rope = {.neox = true, .dimensions = attention.rope.dimensions, .base = base};
  }
  return blueprint;
}

// Gemma 3 as an encoder, with windows to both sides and two linear layers behind a pooled text.
Result<Blueprint> read_gemma_embedding(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_gemma3(keys));
  see_whole_texts(keys.file(), blueprint);
  blueprint.shortens = true;
  return blueprint;
}

}  // namespace lathe::infer
