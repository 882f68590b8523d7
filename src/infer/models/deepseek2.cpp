// DeepSeek-V2, V3 and R1, Kimi-K2, GLM-4.7-Flash: latent attention; a few dense layers, then
// experts in groups with a shared one.
#include <cmath>

#include "infer/models/blueprint.h"

namespace lathe::infer {
namespace {

// YaRN as these models have it: the angles keep their size, scores grow instead. The file's
// multiplier is a tenth of what the models' authors call mscale_all_dim.
Status read_yarn(const ArchitectureKeys& keys, LatentAttentionSpec& spec) {
  LATHE_TRY(const std::string type, keys.file().text_or(keys.name("rope.scaling.type"), "none"));
  if (type != "yarn") return {};
  LATHE_TRY(const double factor, keys.real_or("rope.scaling.factor", 1, 1e-6, 1e6));
  LATHE_TRY(const double multiplier,
            keys.real_or("rope.scaling.yarn_log_multiplier", 0, -1e3, 1e3));
  if (multiplier != 0) {
    LATHE_TRY(spec.rope.magnitude, keys.real_or("rope.scaling.attn_factor", 1, 1e-6, 1e6));
  }
  const double grown = spec.rope.magnitude * (1 + multiplier * std::log(factor));
  spec.scale = static_cast<float>(grown * grown / std::sqrt(static_cast<double>(spec.query())));
  return {};
}

}  // namespace

Result<Blueprint> read_deepseek2(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys, Mixers::kOwn));
  LATHE_TRY_STATUS(read_mixture(keys, blueprint));
  const std::size_t layers = blueprint.layers.size();
  LATHE_TRY(const auto heads,
            keys.file().per_layer(keys.name("attention.head_count"), layers, 1, 65536));
  LATHE_TRY(const bool normalize, keys.file().boolean_or(keys.name("expert_weights_norm"), false));
  for (std::size_t i = 0; i < layers; ++i) {
    LATHE_TRY(LatentAttentionSpec spec, read_latent_attention(keys, heads[i], i));
    LATHE_TRY(spec.rope, read_rope(keys, spec.turned, blueprint.context));
    LATHE_TRY_STATUS(read_yarn(keys, spec));
    blueprint.layers[i].mixer = spec;
    blueprint.layers[i].ffn.normalize_weights = normalize;
  }
  return blueprint;
}

}  // namespace lathe::infer
