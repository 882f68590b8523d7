// A model file's metadata to what the model is.
#include "infer/models/blueprint.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxSize = std::size_t{1} << 24;  // of any width
constexpr std::size_t kMaxLayers = 1024;
constexpr std::size_t kMaxExperts = 1024;

// RoPE and its scalings: linear divides positions; YaRN mixes interpolated and original angles
// between two frequencies and scales cos and sin by 1 + 0.1 ln(factor).
Result<RopeSpec> read_rope(const ArchitectureKeys& keys, std::size_t head_dim,
                           std::size_t context) {
  const std::string place = keys.file().path().string();
  RopeSpec rope;
  LATHE_TRY(rope.dimensions, keys.size_or("rope.dimension_count", head_dim, 2, head_dim));
  if (rope.dimensions % 2 != 0) {
    return invalid("{}: {} is {}; it must be even", place, keys.name("rope.dimension_count"),
                   rope.dimensions);
  }
  LATHE_TRY(rope.base, keys.real_or("rope.freq_base", 10000, 1, 1e12));
  LATHE_TRY(const double linear, keys.real_or("rope.scale_linear", 1, 1e-6, 1e6));
  LATHE_TRY(const double factor, keys.real_or("rope.scaling.factor", linear, 1e-6, 1e6));
  LATHE_TRY(const std::string type,
            keys.file().text_or(keys.name("rope.scaling.type"), linear != 1 ? "linear" : "none"));
  LATHE_TRY(const std::size_t original,
            keys.size_or("rope.scaling.original_context_length", context, 1, std::size_t{1} << 32));
  LATHE_TRY(const double attention_factor, keys.real_or("rope.scaling.attn_factor", 1, 1e-6, 1e6));
  rope.original_context = static_cast<double>(original);
  rope.frequency_factors = keys.file().find_tensor("rope_freqs.weight") != nullptr;
  if (type == "none") return rope;
  rope.scale = 1 / factor;
  if (type == "linear") return rope;
  if (type != "yarn") {
    return invalid("{}: {} is '{}'; Lathe runs none, linear and yarn", place,
                   keys.name("rope.scaling.type"), type);
  }
  LATHE_TRY(rope.extrapolation, keys.real_or("rope.scaling.yarn_ext_factor", 1, 0, 1e6));
  LATHE_TRY(rope.beta_fast, keys.real_or("rope.scaling.yarn_beta_fast", 32, 1e-6, 1e6));
  LATHE_TRY(rope.beta_slow, keys.real_or("rope.scaling.yarn_beta_slow", 1, 1e-6, 1e6));
  LATHE_TRY(const double multiplier,
            keys.real_or("rope.scaling.yarn_log_multiplier", 0, -1e3, 1e3));
  const double magnitude = 1 + 0.1 * std::log(factor);
  rope.magnitude = magnitude / (1 + 0.1 * multiplier * std::log(factor)) * attention_factor;
  if (!(std::isfinite(rope.magnitude) && rope.magnitude > 0)) {
    return invalid("{}: {} and {} give no usable scale", place, keys.name("rope.scaling.factor"),
                   keys.name("rope.scaling.yarn_log_multiplier"));
  }
  return rope;
}

Result<FfnSpec> read_ffn(const ArchitectureKeys& keys, std::size_t hidden) {
  FfnSpec ffn{.hidden = hidden};
  LATHE_TRY(ffn.experts, keys.size_or("expert_count", 0, 0, kMaxExperts));
  if (ffn.experts == 0) return ffn;
  LATHE_TRY(ffn.experts_used, keys.size("expert_used_count", 1, ffn.experts));
  LATHE_TRY(const double scale, keys.real_or("expert_weights_scale", 0, 0, 1e6));
  if (scale != 0) ffn.weight_scale = static_cast<float>(scale);
  LATHE_TRY(const std::size_t gating, keys.size_or("expert_gating_func", 1, 0, 4));
  if (gating > 1) {
    return invalid("{}: {} is {}; Lathe runs 1 (softmax) for this architecture",
                   keys.file().path().string(), keys.name("expert_gating_func"), gating);
  }
  return ffn;
}

Result<Pooling> read_pooling(const ArchitectureKeys& keys) {
  LATHE_TRY(const std::size_t id, keys.size_or("pooling_type", 0, 0, 4));
  if (id == 4) {
    return invalid("{}: {} is 4 (a reranker); Lathe runs none, mean, cls and last",
                   keys.file().path().string(), keys.name("pooling_type"));
  }
  return static_cast<Pooling>(id);
}

}  // namespace

Result<std::size_t> ArchitectureKeys::size(std::string_view key, std::size_t min,
                                           std::size_t max) const {
  LATHE_TRY(const std::uint64_t value, file_.uint(name(key), min, max));
  return static_cast<std::size_t>(value);
}

Result<std::size_t> ArchitectureKeys::size_or(std::string_view key, std::size_t fallback,
                                              std::size_t min, std::size_t max) const {
  if (!file_.has(name(key))) return fallback;
  return size(key, min, max);
}

Result<double> ArchitectureKeys::real_or(std::string_view key, double fallback, double min,
                                         double max) const {
  LATHE_TRY(const double value, file_.real_or(name(key), fallback));
  if (value < min || value > max) {
    return invalid("{}: {} is {}; it must lie in [{}, {}]", file_.path().string(), name(key), value,
                   min, max);
  }
  return value;
}

Result<Blueprint> read_decoder(const ArchitectureKeys& keys) {
  const Gguf& file = keys.file();
  const std::string place = file.path().string();
  Blueprint blueprint;
  LATHE_TRY(blueprint.name, file.text_or("general.name", ""));
  LATHE_TRY(blueprint.embedding, keys.size("embedding_length", 1, kMaxSize));
  LATHE_TRY(blueprint.context, keys.size("context_length", 1, std::size_t{1} << 32));
  LATHE_TRY(const std::size_t layers, keys.size("block_count", 1, kMaxLayers));
  LATHE_TRY(const auto heads, file.per_layer(keys.name("attention.head_count"), layers, 1, 65536));
  auto kv_heads = heads;
  if (file.has(keys.name("attention.head_count_kv"))) {
    LATHE_TRY(kv_heads, file.per_layer(keys.name("attention.head_count_kv"), layers, 1, 65536));
  }
  LATHE_TRY(const auto hidden,
            file.per_layer(keys.name("feed_forward_length"), layers, 1, kMaxSize));
  LATHE_TRY(const double epsilon, keys.real_or("attention.layer_norm_rms_epsilon", -1, -1, 1));
  if (epsilon < 0)
    return invalid("{}: {} is missing", place, keys.name("attention.layer_norm_rms_epsilon"));
  blueprint.norm_epsilon = static_cast<float>(epsilon);
  LATHE_TRY(blueprint.pooling, read_pooling(keys));

  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr) return invalid("{}: the tensor token_embd.weight is missing", place);
  blueprint.vocabulary = static_cast<std::size_t>(embedding->shape[1]);
  blueprint.tied = file.find_tensor("output.weight") == nullptr;

  for (std::size_t i = 0; i < layers; ++i) {
    if (heads[i] % kv_heads[i] != 0) {
      return invalid(
          "{}: layer {} has {} heads and {} KV heads; the first must be a multiple of the second",
          place, i, heads[i], kv_heads[i]);
    }
    AttentionSpec attention;
    attention.heads = heads[i];
    attention.kv_heads = kv_heads[i];
    LATHE_TRY(attention.head_dim, keys.size_or("attention.key_length",
                                               blueprint.embedding / attention.heads, 1, 65536));
    LATHE_TRY(const std::size_t value_dim,
              keys.size_or("attention.value_length", attention.head_dim, 1, 65536));
    if (attention.heads * attention.head_dim > kMaxSize) {
      return invalid("{}: layer {} has {} heads of {} dimensions; at most {} together are possible",
                     place, i, attention.heads, attention.head_dim, kMaxSize);
    }
    if (value_dim != attention.head_dim || attention.head_dim % 8 != 0) {
      return invalid(
          "{}: heads of {} (keys) and {} (values) dimensions; Lathe runs equal ones, a multiple of "
          "8",
          place, attention.head_dim, value_dim);
    }
    LATHE_TRY(const double scale,
              keys.real_or("attention.scale",
                           1 / std::sqrt(static_cast<double>(attention.head_dim)), 1e-9, 1e9));
    attention.scale = static_cast<float>(scale);
    LATHE_TRY(attention.rope, read_rope(keys, attention.head_dim, blueprint.context));
    const std::string block = fmt::format("blk.{}.", i);
    attention.qkv_bias = file.find_tensor(block + "attn_q.bias") != nullptr;
    attention.output_bias = file.find_tensor(block + "attn_output.bias") != nullptr;
    LATHE_TRY(const FfnSpec ffn, read_ffn(keys, hidden[i]));
    blueprint.layers.push_back({attention, ffn});
  }
  return blueprint;
}

Result<Blueprint> read_blueprint(const Gguf& file) {
  LATHE_TRY(const std::string name, file.text("general.architecture"));
  std::string known;
  for (const Architecture& architecture : architectures()) {
    if (architecture.name == name) {
      LATHE_TRY(Blueprint blueprint, architecture.read(ArchitectureKeys(file, name)));
      blueprint.architecture = name;
      blueprint.runs = architecture.runs;
      return blueprint;
    }
    if (!architecture.runs) continue;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  return invalid("{}: the architecture '{}' is unknown; Lathe runs {}", file.path().string(), name,
                 known);
}

Result<Blueprint> read_runnable_blueprint(const Gguf& file) {
  LATHE_TRY(Blueprint blueprint, read_blueprint(file));
  if (blueprint.runs) return blueprint;
  return invalid("{}: {} can be sized but not run yet (see lathe fit)", file.path().string(),
                 blueprint.architecture);
}

std::vector<StateSpec> Blueprint::states() const {
  std::vector<StateSpec> states;
  for (const LayerSpec& layer : layers) {
    if (layer.recurrent.state_bytes != 0) {
      states.push_back(
          {.kind = StateSpec::Kind::kRecurrent, .recurrent_bytes = layer.recurrent.state_bytes});
      continue;
    }
    states.push_back({.kind = StateSpec::Kind::kAttention,
                      .kv_heads = layer.attention.kv_heads,
                      .head_dim = layer.attention.head_dim,
                      .window = layer.attention.window});
  }
  return states;
}

const LayerSpec* Blueprint::attention_layer() const {
  const auto layer = std::ranges::find(
      layers, std::size_t{0}, [](const LayerSpec& spec) { return spec.recurrent.state_bytes; });
  return layer == layers.end() ? nullptr : &*layer;
}

}  // namespace lathe::infer
