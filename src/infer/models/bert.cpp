// BERT and its kin: the sum of embeddings is normed, and the residual stream behind every part.
// BERT has a table of positions, Nomic's and the third of Jina's rotate, the second of Jina's lets
// scores fall with the distance. A reranker's head reads the first token.
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

Result<Blueprint> read_family(const ArchitectureKeys& keys, Activation gated) {
  const Gguf& file = keys.file();
  LATHE_TRY(Blueprint blueprint, read_encoder(keys));
  blueprint.norm = NormKind::kLayer;
  blueprint.norm_bias = blueprint.input_norm = true;
  blueprint.final_norm = false;
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.pre_norms = false;
    layer.sum_norms = true;
    layer.attention()->rope.neox = true;
    const GgufTensor* up = file.find_tensor(tensor_name(Slot::kUp, i));
    layer.ffn.joint = up != nullptr && up->shape[1] == 2 * layer.ffn.hidden;
    const bool gate = file.find_tensor(tensor_name(Slot::kGate, i)) != nullptr;
    layer.ffn.activation = gate || layer.ffn.joint ? gated : Activation::kGeluAlone;
    if (file.find_tensor(fmt::format("blk.{}.attn_norm_2.weight", i)) != nullptr)
      return invalid("{}: blk.{}.attn_norm_2.weight: a second norm is not supported",
                     file.path().string(), i);
  }
  if (!blueprint.ranks) return blueprint;
  blueprint.pooling = Pooling::kCls;
  LATHE_TRY_STATUS(read_classifier(keys, HeadLayer::After::kTanh, blueprint));
  return blueprint;
}

}  // namespace

Result<Blueprint> read_bert(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_family(keys, Activation::kGelu));
  blueprint.learned_positions = true;
  for (LayerSpec& layer : blueprint.layers) layer.attention()->rope = {};
  return blueprint;
}

Result<Blueprint> read_nomic_bert(const ArchitectureKeys& keys) {
  return read_family(keys, Activation::kSilu);
}

// Every so many layers a mixture, whose experts have no gates, and whose weights are shares of all
// experts.
Result<Blueprint> read_nomic_bert_moe(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_family(keys, Activation::kGelu));
  blueprint.shortens = !blueprint.ranks;
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    FfnSpec& ffn = blueprint.layers[i].ffn;
    ffn.normalize_weights = false;
    if (keys.file().find_tensor(tensor_name(Slot::kRouter, i)) == nullptr) make_dense(ffn);
    find_biases(keys.file(), i, ffn);
  }
  return blueprint;
}

Result<Blueprint> read_jina_bert_v2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_family(keys, Activation::kGelu));
  LATHE_TRY(const double bias, keys.real_or("attention.max_alibi_bias", 8, 0, 64));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    AttentionSpec& attention = *blueprint.layers[i].attention();
    attention.rope = {};
    attention.distance_bias = static_cast<float>(bias);
    if (keys.file().find_tensor(tensor_name(Slot::kQNorm, i)) != nullptr)
      attention.qk_norm = QkNorm::kWholeLayer;
  }
  return blueprint;
}

Result<Blueprint> read_jina_bert_v3(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_family(keys, Activation::kGelu));
  blueprint.shortens = !blueprint.ranks;
  return blueprint;
}

}  // namespace lathe::infer
