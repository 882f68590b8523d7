// DeepSeek-V2, V3 and R1, Kimi-K2, GLM-4.7-Flash: latent attention; a few dense layers, then
// experts in groups with a shared one. DeepSeek-V3.2 and GLM-5: the same, and an indexer chooses
// the positions that a query sees.
#include <cmath>

#include "infer/models/blueprint.h"
#include "infer/models/tensors.h"

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

// All but which layers have one of their own.
Result<IndexerSpec> read_indexer(const ArchitectureKeys& keys, const LatentAttentionSpec& spec) {
  constexpr std::size_t kMostDimensions = std::size_t{1} << 24;  // of all heads
  const std::string place = keys.file().path().string();
  IndexerSpec indexer;
  LATHE_TRY(indexer.heads, keys.size("attention.indexer.head_count", 1, 65536));
  LATHE_TRY(indexer.key, keys.size("attention.indexer.key_length", 8, 65536));
  LATHE_TRY(indexer.most, keys.size("attention.indexer.top_k", 1, std::size_t{1} << 20));
  LATHE_TRY(const double epsilon, keys.real_or("attention.layer_norm_epsilon", 1e-6, 0, 1));
  indexer.norm_epsilon = static_cast<float>(epsilon);
  if (indexer.key % 8 != 0 || indexer.key < spec.turned)
    return invalid("{}: {} is {}; it must be a multiple of 8, and at least the {} turned ones",
                   place, keys.name("attention.indexer.key_length"), indexer.key, spec.turned);
  if (indexer.heads * indexer.key > kMostDimensions)
    return invalid("{}: an indexer has {} heads of {} dimensions; at most {} are possible", place,
                   indexer.heads, indexer.key, kMostDimensions);
  if (spec.query_rank == 0)
    return invalid("{}: an indexer's queries are made of a latent, and the model's have none",
                   place);
  return indexer;
}

// Whether each layer has an indexer of its own: the file says so, or has its tensors.
Result<std::vector<std::uint64_t>> own_indexers(const ArchitectureKeys& keys, std::size_t layers) {
  const std::string key = keys.name("attention.indexer.types");
  std::vector<std::uint64_t> own;
  if (keys.file().has(key)) {
    LATHE_TRY(own, keys.file().per_layer(key, layers, 0, 1));
  } else {
    for (std::size_t i = 0; i < layers; ++i)
      own.push_back(keys.file().find_tensor(tensor_name(Slot::kIndexKey, i)) != nullptr ? 1 : 0);
  }
  if (own.front() == 0)
    return invalid("{}: the first layer has no indexer, and none before it whose choice it takes",
                   keys.file().path().string());
  return own;
}

Result<Blueprint> read_indexed(const ArchitectureKeys& keys, bool neox,
                               const std::vector<std::uint64_t>& own, Blueprint blueprint) {
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    auto& spec = std::get<LatentAttentionSpec>(layer.mixer);
    LATHE_TRY(spec.indexer, read_indexer(keys, spec));
    spec.indexer->neox = neox;
    spec.indexer->own = own[i] != 0;
    if (!keys.file().has(keys.name("expert_gating_func"))) layer.ffn.router = RouterRule::kSigmoid;
  }
  return blueprint;
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

Result<Blueprint> read_deepseek32(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_deepseek2(keys));
  const std::vector<std::uint64_t> all(blueprint.layers.size(), 1);
  return read_indexed(keys, true, all, std::move(blueprint));
}

Result<Blueprint> read_glm_dsa(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_deepseek2(keys));
  LATHE_TRY(const auto own, own_indexers(keys, blueprint.layers.size()));
  return read_indexed(keys, false, own, std::move(blueprint));
}

}  // namespace lathe::infer
