// Qwen3, its embedders, rerankers and coders: split-half RoPE, an RMS norm on every q and k head.
// An embedder reads the last token; a reranker weighs "yes" against "no" there.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  for (LayerSpec& layer : blueprint.layers) {
    layer.attention()->rope.neox = true;
    layer.attention()->qk_norm = QkNorm::kHead;
  }
  blueprint.shortens = blueprint.pooling == Pooling::kLast && !blueprint.ranks;
  if (!blueprint.ranks) return blueprint;
  LATHE_TRY_STATUS(read_classifier(keys, HeadLayer::After::kNothing, blueprint));
  blueprint.scores_softmax = true;
  return blueprint;
}

}  // namespace lathe::infer
