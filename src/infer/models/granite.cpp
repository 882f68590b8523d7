// Granite, dense and with experts: Llama with embeddings, answers of parts and logits scaled; and
// its hybrids, whose layers without KV heads are Mamba-2.
#include "infer/models/blueprint.h"

namespace lathe::infer {

namespace {

Result<Blueprint> finish(const ArchitectureKeys& keys, Blueprint blueprint) {
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  LATHE_TRY(const double embedding, keys.real_or("embedding_scale", 1, 1e-6, 1e6));
  LATHE_TRY(const double residual, keys.real_or("residual_scale", 1, 1e-6, 1e6));
  LATHE_TRY(const double logits, keys.real_or("logit_scale", 1, 1e-6, 1e6));
  blueprint.embedding_scale = static_cast<float>(embedding);
  blueprint.residual_scale = static_cast<float>(residual);
  blueprint.logit_scale = static_cast<float>(1 / logits);
  LATHE_TRY(const bool turns, keys.file().boolean_or(keys.name("rope.scaling.finetuned"), true));
  for (LayerSpec& layer : blueprint.layers)
    if (AttentionSpec* attention = layer.attention(); attention != nullptr && !turns)
      attention->rope = {};
  return blueprint;
}

}  // namespace

Result<Blueprint> read_granite(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  return finish(keys, std::move(blueprint));
}

Result<Blueprint> read_granite_hybrid(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys, Mixers::kHybrid));
  LATHE_TRY(const Mamba2Spec mamba, read_mamba2(keys));
  for (LayerSpec& layer : blueprint.layers)
    if (!layer.has_mixer()) layer.mixer = mamba;
  return finish(keys, std::move(blueprint));
}

}  // namespace lathe::infer
