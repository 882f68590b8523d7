// What encoders and rerankers share: every token sees all of its text, nothing is predicted, and
// small linear layers stand behind a pooled text.
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

// One of the head's matrices, if the file has it; it reads what the one before it gives.
bool add_head_layer(const Gguf& file, Slot slot, HeadLayer::After after, Blueprint& blueprint) {
  const GgufTensor* matrix = file.find_tensor(tensor_name(slot));
  if (matrix == nullptr) return false;
  blueprint.head.push_back({.matrix = slot,
                            .rows = static_cast<std::size_t>(matrix->shape[1]),
                            .k = blueprint.text_width(),
                            .after = after});
  return true;
}

bool has(const Gguf& file, Slot slot, std::size_t layer = 0) {
  return file.find_tensor(tensor_name(slot, layer)) != nullptr;
}

}  // namespace

void see_whole_texts(const Gguf& file, Blueprint& blueprint) {
  blueprint.generates = blueprint.tied = false;
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    AttentionSpec& attention = *blueprint.layers[i].attention();
    attention.sight = Sight::kAll;
    attention.joint_qkv = has(file, Slot::kMixed, i);
    if (attention.joint_qkv) attention.qkv_bias = has(file, Slot::kMixedBias, i);
  }
  for (const Slot slot : {Slot::kDense2, Slot::kDense3})
    add_head_layer(file, slot, HeadLayer::After::kNothing, blueprint);
}

Result<Blueprint> read_encoder(const ArchitectureKeys& keys) {
  const Gguf& file = keys.file();
  LATHE_TRY(const bool causal, file.boolean_or(keys.name("attention.causal"), false));
  if (causal)
    return invalid("{}: {} is true; in an encoder every token sees all of its text",
                   file.path().string(), keys.name("attention.causal"));
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  see_whole_texts(file, blueprint);
  if (const GgufTensor* types = file.find_tensor(tensor_name(Slot::kTokenTypes)))
    blueprint.token_types = static_cast<std::size_t>(types->shape[1]);
  return blueprint;
}

Status read_classifier(const ArchitectureKeys& keys, HeadLayer::After after, Blueprint& blueprint) {
  const Gguf& file = keys.file();
  if (add_head_layer(file, Slot::kClassifier, after, blueprint)) {
    blueprint.head.back().bias = has(file, Slot::kClassifierBias);
    blueprint.head.back().norm = has(file, Slot::kClassifierNorm);
  }
  if (add_head_layer(file, Slot::kClassifierOutput, HeadLayer::After::kNothing, blueprint))
    blueprint.head.back().bias = has(file, Slot::kClassifierOutputBias);
  if (blueprint.head.empty())
    return invalid("{}: {} says that it is a reranker, but it has neither {} nor {}",
                   file.path().string(), keys.name("pooling_type"), tensor_name(Slot::kClassifier),
                   tensor_name(Slot::kClassifierOutput));
  return {};
}

}  // namespace lathe::infer
