// What cannot be trained.
#include "infer/tune/trainable.h"

#include <algorithm>

namespace lathe::infer {
namespace {

// Of a mixer; empty: it can be trained.
std::string_view missing_in(const AttentionSpec& spec) {
  if (spec.sight != Sight::kBackward) return "attention to both sides";
  if (spec.kv_of || spec.values_of_keys) return "layers that share keys and values";
  if (spec.value_norm) return "norms of values";
  if (spec.distance_bias != 0) return "scores that fall with the distance (ALiBi)";
  if (spec.qk_norm == QkNorm::kWholeLayer) return "layer norms of queries and keys";
  return "";
}
std::string_view missing_in(const LatentAttentionSpec&) {
  return "latent attention";
}
std::string_view missing_in(const KeyDecaySpec&) {
  return "Kimi's delta attention";
}
std::string_view missing_in(const DeltaNetSpec&) {
  return "";
}
std::string_view missing_in(const Mamba2Spec&) {
  return "";
}
std::string_view missing_in(const ShortConvolutionSpec&) {
  return "";
}
std::string_view missing_in(const NoMixer&) {
  return "";
}

std::string_view missing_in(const FfnSpec& spec) {
  if (spec.beside_hidden != 0) return "a dense part beside experts";
  if (spec.weighs_input || spec.router == RouterRule::kSigmoidOfChosen)
    return "experts whose weights multiply what they read";
  return "";
}

std::string_view missing_in(const LayerSpec& layer) {
  if (layer.sum_norms || !layer.mixer_norm) return "norms of the residual stream itself";
  const std::string_view mixer =
      std::visit([](const auto& spec) { return missing_in(spec); }, layer.mixer);
  if (!mixer.empty()) return mixer;
  if (const std::string_view ffn = missing_in(layer.ffn); !ffn.empty()) return ffn;
  return layer.scaled ? "layers with a scale" : "";
}

}  // namespace

std::string_view untrainable(const Blueprint& blueprint) {
  if (!blueprint.generates || blueprint.ranks || blueprint.codes != 0)
    return "no next token to learn";
  if (blueprint.layer_input != 0) return "embeddings for each layer";
  for (const LayerSpec& layer : blueprint.layers)
    if (const std::string_view missing = missing_in(layer); !missing.empty()) return missing;
  return "";
}

Status check_trainable(const Gguf& file, const Blueprint& blueprint) {
  const std::string_view missing = untrainable(blueprint);
  if (missing.empty()) return {};
  return invalid("{}: {} cannot be trained: it has {} (docs/tune.md says what can)",
                 file.path().string(), blueprint.architecture, missing);
}

}  // namespace lathe::infer
