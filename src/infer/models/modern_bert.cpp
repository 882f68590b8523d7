// ModernBERT: norms in front of the parts, all but the first layer's mixer; two of three layers see
// a window to both sides, with a RoPE of their own. A reranker's head reads the mean of all tokens.
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kPeriod = 3;  // the first layer of so many sees everything

Result<Activation> read_activation(const ArchitectureKeys& keys) {
  const std::string key = keys.name("hidden_activation");
  const Result<std::string> name = keys.file().text_or(key, "gelu");
  if (!name) return std::unexpected(name.error());
  if (*name == "gelu") return Activation::kGelu;
  if (*name == "silu") return Activation::kSilu;
  return invalid("{}: {} is '{}'; Lathe runs gelu and silu", keys.file().path().string(), key,
                 *name);
}

}  // namespace

Result<Blueprint> read_modern_bert(const ArchitectureKeys& keys) {
  const Gguf& file = keys.file();
  LATHE_TRY(Blueprint blueprint, read_encoder(keys));
  blueprint.norm = NormKind::kLayer;
  blueprint.input_norm = true;
  LATHE_TRY(const Activation activation, read_activation(keys));
  LATHE_TRY(const std::size_t window,
            keys.size_or("attention.sliding_window", 0, 1, std::size_t{1} << 32));
  LATHE_TRY(const double base, keys.real_or("rope.freq_base_swa", 10000, 1, 1e12));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.mixer_norm = file.find_tensor(tensor_name(Slot::kAttentionNorm, i)) != nullptr;
    layer.ffn.activation = activation;
    layer.ffn.joint = true;
    AttentionSpec& attention = *layer.attention();
    attention.rope.neox = true;
    if (window == 0 || i % kPeriod == 0) continue;
    attention.window = window;
    attention.rope.base = base;
  }
  if (!blueprint.ranks) return blueprint;
  blueprint.pooling = Pooling::kMean;
  LATHE_TRY_STATUS(read_classifier(keys, HeadLayer::After::kGelu, blueprint));
  return blueprint;
}

}  // namespace lathe::infer
