// A model file's metadata to what the model is.
#include "infer/models/blueprint.h"

#include <algorithm>
#include <cmath>

#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxSize = std::size_t{1} << 24;  // of any width
constexpr std::size_t kMaxLayers = 1024;
constexpr std::size_t kMaxExperts = 1024;

Result<AttentionSpec> read_attention(const ArchitectureKeys& keys, const Blueprint& blueprint,
                                     std::size_t layer, std::size_t heads, std::size_t kv_heads) {
  const Gguf& file = keys.file();
  const std::string place = file.path().string();
  if (heads % kv_heads != 0) {
    return invalid(
        "{}: layer {} has {} heads and {} KV heads; the first must be a multiple of the second",
        place, layer, heads, kv_heads);
  }
  AttentionSpec attention{.heads = heads, .kv_heads = kv_heads};
  LATHE_TRY(attention.head_dim,
            keys.size_or("attention.key_length", blueprint.embedding / heads, 1, 65536));
  LATHE_TRY(const std::size_t value_dim,
            keys.size_or("attention.value_length", attention.head_dim, 1, 65536));
  if (heads * attention.head_dim > kMaxSize) {
    return invalid("{}: layer {} has {} heads of {} dimensions; at most {} together are possible",
                   place, layer, heads, attention.head_dim, kMaxSize);
  }
  if (value_dim != attention.head_dim || attention.head_dim % 8 != 0) {
    return invalid(
        "{}: heads of {} (keys) and {} (values) dimensions; Lathe runs equal ones, a multiple of 8",
        place, attention.head_dim, value_dim);
  }
  LATHE_TRY(const double scale,
            keys.real_or("attention.scale", 1 / std::sqrt(static_cast<double>(attention.head_dim)),
                         1e-9, 1e9));
  attention.scale = static_cast<float>(scale);
  LATHE_TRY(attention.rope, read_rope(keys, attention.head_dim, blueprint.context));
  attention.qkv_bias = file.find_tensor(tensor_name(Slot::kQBias, layer)) != nullptr;
  attention.output_bias =
      file.find_tensor(tensor_name(Slot::kAttentionOutputBias, layer)) != nullptr;
  return attention;
}

// All but its width, which the layers may each have their own of.
Result<FfnSpec> read_ffn(const ArchitectureKeys& keys) {
  FfnSpec ffn;
  LATHE_TRY(ffn.experts, keys.size_or("expert_count", 0, 0, kMaxExperts));
  if (ffn.experts == 0) return ffn;
  LATHE_TRY(ffn.experts_used, keys.size("expert_used_count", 1, ffn.experts));
  LATHE_TRY(const double scale, keys.real_or("expert_weights_scale", 0, 0, 1e6));
  if (scale != 0) ffn.weight_scale = static_cast<float>(scale);
  LATHE_TRY(ffn.normalize_weights, keys.file().boolean_or(keys.name("expert_weights_norm"), true));
  LATHE_TRY(const std::size_t groups, keys.size_or("expert_group_count", 0, 0, kMaxExperts));
  if (groups > 1) {
    if (ffn.experts % groups != 0 || ffn.experts / groups < 2)
      return invalid("{}: {} is {}; {} experts cannot be so many groups of two or more",
                     keys.file().path().string(), keys.name("expert_group_count"), groups,
                     ffn.experts);
    ffn.groups = groups;
    LATHE_TRY(ffn.groups_used, keys.size("expert_group_used_count", 1, groups));
    if (ffn.groups_used * (ffn.experts / groups) < ffn.experts_used)
      return invalid("{}: {} groups have fewer than the {} experts that a token takes",
                     keys.file().path().string(), ffn.groups_used, ffn.experts_used);
  }
  LATHE_TRY(const std::size_t gating, keys.size_or("expert_gating_func", 1, 0, 4));
  if (gating > 3) {
    return invalid(
        "{}: {} is {}; Lathe knows 1 (softmax), 2 (sigmoid) and 3 (softmax of the chosen)",
        keys.file().path().string(), keys.name("expert_gating_func"), gating);
  }
  constexpr RouterRule kRules[] = {RouterRule::kSoftmax, RouterRule::kSoftmax, RouterRule::kSigmoid,
                                   RouterRule::kSoftmaxOfChosen};
  ffn.router = kRules[gating];
  return ffn;
}

// 4, a reranker, does not say what of a text its head reads: a decoder's reads the last token.
Status read_pooling(const ArchitectureKeys& keys, Blueprint& blueprint) {
  constexpr std::size_t kRank = 4;
  LATHE_TRY(const std::size_t id, keys.size_or("pooling_type", 0, 0, kRank));
  blueprint.ranks = id == kRank;
  blueprint.pooling = blueprint.ranks ? Pooling::kLast : static_cast<Pooling>(id);
  return {};
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
  LATHE_TRY(std::string type,
            keys.file().text_or(keys.name("rope.scaling.type"), linear != 1 ? "linear" : "none"));
  LATHE_TRY(const std::size_t original,
            keys.size_or("rope.scaling.original_context_length", context, 1, std::size_t{1} << 32));
  LATHE_TRY(const double attention_factor, keys.real_or("rope.scaling.attn_factor", 1, 1e-6, 1e6));
  rope.original_context = static_cast<double>(original);
  if (keys.file().find_tensor(tensor_name(Slot::kRopeFactors)) != nullptr)
    rope.factors = RopeFactors::kOne;
  // Files of LongRoPE have its factors, and need not say its name.
  if (keys.file().find_tensor(tensor_name(Slot::kRopeFactorsLong)) != nullptr) type = "longrope";
  if (type == "none") return rope;
  if (type == "longrope") {
    rope.magnitude = attention_factor;
    rope.factors = RopeFactors::kByContext;
    return rope;
  }
  rope.scale = 1 / factor;
  if (type == "linear") return rope;
  if (type != "yarn") {
    return invalid("{}: {} is '{}'; Lathe runs none, linear, yarn and longrope", place,
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

Status read_sections(const ArchitectureKeys& keys, bool interleaved, Blueprint& blueprint) {
  LATHE_TRY(const auto sizes, keys.file().ints(keys.name("rope.dimension_sections")));
  for (LayerSpec& layer : blueprint.layers) {
    AttentionSpec* attention = layer.attention();
    if (attention == nullptr) continue;
    RopeSpec& rope = attention->rope;
    const auto pairs = static_cast<std::int64_t>(rope.dimensions / 2);
    const bool parts =
        std::ranges::all_of(sizes, [&](std::int64_t size) { return size >= 0 && size <= pairs; });
    // A fourth one, for what no model has yet, is empty.
    if (!parts || sizes.size() < 3 || sizes.size() > 4 || sizes[0] + sizes[1] + sizes[2] != pairs)
      return invalid("{}: {} must have three sizes that come to {}, half of the {} that turn",
                     keys.file().path().string(), keys.name("rope.dimension_sections"), pairs,
                     rope.dimensions);
    for (std::size_t i = 0; i < 3; ++i) rope.sections[i] = static_cast<std::size_t>(sizes[i]);
    rope.interleaved = interleaved;
  }
  return {};
}

Result<Blueprint> read_decoder(const ArchitectureKeys& keys, Mixers mixers) {
  const Gguf& file = keys.file();
  const std::string place = file.path().string();
  Blueprint blueprint;
  LATHE_TRY(blueprint.name, file.text_or("general.name", ""));
  LATHE_TRY(blueprint.embedding, keys.size("embedding_length", 1, kMaxSize));
  LATHE_TRY(blueprint.context, keys.size("context_length", 1, std::size_t{1} << 32));
  LATHE_TRY(const std::size_t blocks, keys.size("block_count", 1, kMaxLayers));
  // Those that predict tokens further on stand behind the others.
  LATHE_TRY(const std::size_t predicting, keys.size_or("nextn_predict_layers", 0, 0, blocks - 1));
  const std::size_t layers = blocks - predicting;
  const std::uint64_t least = mixers == Mixers::kAttention ? 1 : 0;
  LATHE_TRY(const auto heads, file.per_layer(keys.name("attention.head_count"), layers, 1, 65536));
  auto kv_heads = heads;
  if (file.has(keys.name("attention.head_count_kv"))) {
    LATHE_TRY(kv_heads, file.per_layer(keys.name("attention.head_count_kv"), layers, least, 65536));
  }
  // A file whose layers all have experts may name their width alone.
  const std::string width = keys.name(file.has(keys.name("feed_forward_length")) ||
                                              !file.has(keys.name("expert_feed_forward_length"))
                                          ? "feed_forward_length"
                                          : "expert_feed_forward_length");
  LATHE_TRY(const auto hidden, file.per_layer(width, layers, least, kMaxSize));
  LATHE_TRY(const double of_layers, keys.real_or("attention.layer_norm_epsilon", -1, -1, 1));
  LATHE_TRY(const double epsilon,
            keys.real_or("attention.layer_norm_rms_epsilon", of_layers, -1, 1));
  if (epsilon < 0)
    return invalid("{}: {} is missing", place, keys.name("attention.layer_norm_rms_epsilon"));
  blueprint.norm_epsilon = static_cast<float>(epsilon);
  LATHE_TRY_STATUS(read_pooling(keys, blueprint));

  const std::string embedding_name = tensor_name(Slot::kEmbedding);
  const GgufTensor* embedding = file.find_tensor(embedding_name);
  if (embedding == nullptr) return invalid("{}: the tensor {} is missing", place, embedding_name);
  blueprint.vocabulary = static_cast<std::size_t>(embedding->shape[1]);
  blueprint.tied = file.find_tensor(tensor_name(Slot::kOutput)) == nullptr;

  LATHE_TRY(const FfnSpec ffn, read_ffn(keys));
  for (std::size_t i = 0; i < layers; ++i) {
    LayerSpec& layer = blueprint.layers.emplace_back(LayerSpec{.mixer = NoMixer{}, .ffn = ffn});
    if (kv_heads[i] != 0 && mixers != Mixers::kOwn) {
      LATHE_TRY(layer.mixer, read_attention(keys, blueprint, i, heads[i], kv_heads[i]));
    }
    layer.ffn.hidden = hidden[i];
    find_biases(file, i, layer.ffn);
    layer.ffn.joint = layer.ffn.experts != 0 && file.find_tensor(joint_experts_name(i)) != nullptr;
  }
  return blueprint;
}

void make_dense(FfnSpec& ffn) {
  ffn.experts = ffn.experts_used = ffn.groups = ffn.groups_used = 0;
  ffn.joint = false;
}

void find_biases(const Gguf& file, std::size_t layer, FfnSpec& ffn) {
  const bool mixture = ffn.experts != 0;
  ffn.bias = file.find_tensor(tensor_name(Slot::kDownBias, layer, mixture)) != nullptr;
  ffn.input_bias = file.find_tensor(tensor_name(Slot::kUpBias, layer, mixture)) != nullptr;
}

Status read_mixture(const ArchitectureKeys& keys, Blueprint& blueprint) {
  LATHE_TRY(const std::size_t dense, keys.size_or("leading_dense_block_count", 0, 0, kMaxLayers));
  LATHE_TRY(const std::size_t shared_experts, keys.size_or("expert_shared_count", 0, 0, 1024));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    FfnSpec& ffn = blueprint.layers[i].ffn;
    if (ffn.experts == 0 || ffn.hidden == 0) continue;
    if (i < dense) {
      make_dense(ffn);
      continue;
    }
    LATHE_TRY(ffn.hidden, keys.size_or("expert_feed_forward_length", ffn.hidden, 1, kMaxSize));
    LATHE_TRY(ffn.shared_hidden, keys.size_or("expert_shared_feed_forward_length",
                                              shared_experts * ffn.hidden, 0, kMaxSize));
    ffn.score_bias = keys.file().find_tensor(tensor_name(Slot::kScoreBias, i)) != nullptr;
  }
  return {};
}

Result<Mamba2Spec> read_mamba2(const ArchitectureKeys& keys) {
  Mamba2Spec spec;
  LATHE_TRY(const std::size_t inner, keys.size("ssm.inner_size", 1, kMaxSize));
  LATHE_TRY(spec.heads, keys.size("ssm.time_step_rank", 1, 65536));
  LATHE_TRY(spec.groups, keys.size("ssm.group_count", 1, 4096));
  LATHE_TRY(spec.states, keys.size("ssm.state_size", 1, 4096));
  LATHE_TRY(spec.convolution, keys.size("ssm.conv_kernel", 1, 64));
  if (inner % spec.heads != 0 || spec.heads % spec.groups != 0)
    return invalid("{}: {} is {}, of {} heads in {} groups; each must divide the one before",
                   keys.file().path().string(), keys.name("ssm.inner_size"), inner, spec.heads,
                   spec.groups);
  spec.head_dim = inner / spec.heads;
  return spec;
}

Result<LatentAttentionSpec> read_latent_attention(const ArchitectureKeys& keys, std::size_t heads,
                                                  std::size_t layer) {
  const std::string place = keys.file().path().string();
  LatentAttentionSpec spec{.heads = heads};
  if (keys.file().find_tensor(tensor_name(Slot::kKeyOfLatent, layer)) == nullptr)
    return invalid(
        "{}: the tensor {} is missing: the file has latent attention in an older form; convert the "
        "model again",
        place, tensor_name(Slot::kKeyOfLatent, layer));
  if (keys.file().find_tensor(tensor_name(Slot::kQLatent, layer)) != nullptr) {
    LATHE_TRY(spec.query_rank, keys.size("attention.q_lora_rank", 1, kMaxSize));
  }
  LATHE_TRY(spec.latent, keys.size("attention.kv_lora_rank", 8, 65536));
  LATHE_TRY(const std::size_t query, keys.size("attention.key_length_mla", 1, 65536));
  LATHE_TRY(spec.value_dim, keys.size("attention.value_length_mla", 1, 65536));
  LATHE_TRY(spec.turned, keys.size("rope.dimension_count", 2, 65536));
  if (query <= spec.turned || spec.turned % 8 != 0 || spec.latent % 8 != 0)
    return invalid(
        "{}: queries of {} dimensions, {} of them turned, and a latent of {}; the last two must be "
        "multiples of 8, and some must not be turned",
        place, query, spec.turned, spec.latent);
  spec.plain = query - spec.turned;
  if (heads * std::max(spec.latent + spec.turned, std::max(query, spec.value_dim)) > kMaxSize)
    return invalid("{}: {} heads of a latent of {}; at most {} dimensions together are possible",
                   place, heads, spec.latent, kMaxSize);
  spec.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(query)));
  return spec;
}

Result<std::size_t> read_windows(const ArchitectureKeys& keys, Blueprint& blueprint,
                                 std::size_t period) {
  LATHE_TRY(const std::size_t window,
            keys.size_or("attention.sliding_window", 0, 1, std::size_t{1} << 32));
  const std::size_t layers = blueprint.layers.size();
  const std::string pattern = keys.name("attention.sliding_window_pattern");
  std::vector<std::uint64_t> windowed;
  if (keys.file().has(pattern)) {
    if (const auto own = keys.file().uint(pattern, 0, 1024)) {
      period = static_cast<std::size_t>(*own);
    } else {
      LATHE_TRY(windowed, keys.file().per_layer(pattern, layers, 0, 1));
    }
  }
  for (std::size_t i = 0; i < layers; ++i) {
    const bool sees_window =
        windowed.empty() ? period == 0 || i % period + 1 < period : windowed[i] != 0;
    if (sees_window) blueprint.layers[i].attention()->window = window;
  }
  return window;
}

Result<Blueprint> read_blueprint(const Gguf& file) {
  LATHE_TRY(const std::string name, file.text("general.architecture"));
  std::string known;
  for (const Architecture& architecture : architectures()) {
    if (architecture.name == name) {
      LATHE_TRY(Blueprint blueprint, architecture.read(ArchitectureKeys(file, name)));
      blueprint.architecture = name;
      return blueprint;
    }
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  return invalid("{}: the architecture '{}' is unknown; Lathe knows {}", file.path().string(), name,
                 known);
}

Result<std::optional<Blueprint>> read_predictor(const Gguf& file, const Blueprint& model) {
  const ArchitectureKeys keys(file, model.architecture);
  LATHE_TRY(const std::size_t predicting, keys.size_or("nextn_predict_layers", 0, 0, kMaxLayers));
  const std::size_t first = model.layers.size();
  if (predicting == 0 || file.find_tensor(tensor_name(Slot::kJoin, first)) == nullptr)
    return std::nullopt;
  // It is like the last layer that has attention.
  const auto like =
      std::ranges::find_if(model.layers.rbegin(), model.layers.rend(),
                           [](const LayerSpec& layer) { return layer.attends().has_value(); });
  if (like == model.layers.rend()) return std::nullopt;
  Blueprint predictor = model;
  predictor.layers.assign(1, *like);
  // Nobody chose positions for it but itself.
  if (auto* latent = std::get_if<LatentAttentionSpec>(&predictor.layers.front().mixer);
      latent != nullptr && latent->indexer) {
    if (file.find_tensor(tensor_name(Slot::kIndexKey, first)) == nullptr) return std::nullopt;
    latent->indexer->own = true;
  }
  predictor.predicts = true;
  predictor.first_layer = first;
  predictor.own_output_norm = file.find_tensor(tensor_name(Slot::kPredictorNorm, first)) != nullptr;
  return predictor;
}

Result<Blueprint> read_runnable_blueprint(const Gguf& file) {
  LATHE_TRY(Blueprint blueprint, read_blueprint(file));
  if (blueprint.runs()) return blueprint;
  return invalid("{}: {} can be sized but not run yet (see lathe fit): it has {}",
                 file.path().string(), blueprint.architecture, blueprint.missing());
}

namespace {

StateSpec state_of(const AttendSpec& attends) {
  if (attends.kv_of) return {};
  return {.kind = StateSpec::Kind::kAttention,
          .kv_heads = attends.kv_heads,
          .head = attends.head,
          .window = attends.sight == Sight::kBackward ? attends.window : 0,
          .passing = attends.sight == Sight::kAll};
}
StateSpec state_of(const AttentionSpec& spec) {
  return state_of(spec.attends());
}
StateSpec state_of(const LatentAttentionSpec& spec) {
  StateSpec state = state_of(spec.attends());
  if (spec.owns_indexer()) state.index_key = spec.indexer->key;
  return state;
}
template <class Recurrent>
StateSpec state_of(const Recurrent& spec) {
  return {.kind = StateSpec::Kind::kRecurrent, .recurrent_bytes = spec.state_bytes()};
}
StateSpec state_of(const NoMixer&) {
  return {};
}

// What the forward pass lacks for a part; empty: nothing.
std::string_view missing_in(const FfnSpec& spec) {
  if (spec.shared_hidden != 0 && spec.experts == 0) return "a shared expert without others";
  if (spec.joint && spec.input_bias) return "biases beside gates and inputs in one matrix";
  return "";
}

}  // namespace

std::optional<AttendSpec> LayerSpec::attends() const {
  if (const AttentionSpec* spec = attention()) return spec->attends();
  if (const auto* latent = std::get_if<LatentAttentionSpec>(&mixer)) return latent->attends();
  return std::nullopt;
}

const RopeSpec* LayerSpec::rope() const {
  const RopeSpec* rope = nullptr;
  if (const AttentionSpec* spec = attention()) rope = &spec->rope;
  if (const auto* latent = std::get_if<LatentAttentionSpec>(&mixer)) rope = &latent->rope;
  return rope == nullptr || rope->dimensions == 0 ? nullptr : rope;
}

std::vector<StateSpec> Blueprint::states() const {
  std::vector<StateSpec> states;
  for (const LayerSpec& layer : layers)
    states.push_back(std::visit([](const auto& mixer) { return state_of(mixer); }, layer.mixer));
  return states;
}

bool Blueprint::turns_long(std::size_t given) const {
  return std::ranges::any_of(layers, [&](const LayerSpec& layer) {
    const RopeSpec* rope = layer.rope();
    return rope != nullptr && rope->factors == RopeFactors::kByContext &&
           static_cast<double>(given) > rope->original_context;
  });
}

bool Blueprint::chooses() const {
  return std::ranges::any_of(layers, [](const LayerSpec& layer) {
    const auto attends = layer.attends();
    return attends && attends->most != 0;
  });
}

const AttentionSpec* Blueprint::attention() const {
  for (const LayerSpec& layer : layers)
    if (const AttentionSpec* spec = layer.attention()) return spec;
  return nullptr;
}

std::string_view Blueprint::missing() const {
  for (const LayerSpec& layer : layers) {
    if (const std::string_view ffn = missing_in(layer.ffn); !ffn.empty()) return ffn;
  }
  if (ranks && head.empty()) return "the head of a reranker, for which there is no recipe";
  return "";
}

}  // namespace lathe::infer
