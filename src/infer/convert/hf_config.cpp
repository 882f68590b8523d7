// Hugging Face's config.json to GGUF metadata: what nearly all families say in the same words.
#include "infer/convert/hf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "infer/convert/hf_reader.h"
#include "infer/formats/input_file.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxMembers = 20000;
constexpr std::uint64_t kMaxLayers = 1024;

Result<const HfFamily*> find_family(const JsonObject& json) {
  const SortedJson& names = json["architectures"];
  const std::string name = names.is_array() && names.size() == 1 && names[0].is_string()
                               ? names[0].get<std::string>()
                               : "";
  std::string known;
  for (const HfFamily& family : hf_families()) {
    if (family.hf == name) return &family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.hf);
  }
  return invalid("{}: \"architectures\" names '{}'; Lathe imports {}", json.place(), shown(name),
                 known);
}

// The settings its authors recommend, under the names that general.sampling.* has.
Status add_sampling(const fs::path& directory, GgufMetadata& metadata) {
  LATHE_TRY(const auto json,
            JsonObject::read_if_there(directory / "generation_config.json", kMaxMembers));
  if (!json) return {};
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kReals = {
      {{"temperature", "temp"},
       {"top_p", "top_p"},
       {"min_p", "min_p"},
       {"repetition_penalty", "penalty_repeat"}}};
  for (const auto& [from, to] : kReals) {
    if (!json->has(from)) continue;
    LATHE_TRY(const double value, json->real(from));
    metadata.emplace_back(fmt::format("general.sampling.{}", to), value);
  }
  if (json->has("top_k")) {
    LATHE_TRY(const auto top_k, json->uint("top_k", 0, kMaxSize));
    metadata.emplace_back("general.sampling.top_k", top_k);
  }
  return {};
}

}  // namespace

void HfReader::absent_means(std::string_view key, const SortedJson& value) {
  if (!json_.has(key)) replace(key, value);
}

void HfReader::replace(std::string_view key, const SortedJson& value) {
  json_.set(key, value);
}

void HfReader::add(std::string_view key, GgufValue value) {
  std::string name = fmt::format("{}.{}", config_.architecture, key);
  const auto before = std::ranges::find(config_.metadata, name, &GgufMetadata::value_type::first);
  if (before == config_.metadata.end())
    config_.metadata.emplace_back(std::move(name), std::move(value));
  else
    before->second = std::move(value);
}

std::string_view HfReader::one_of(std::initializer_list<std::string_view> names) const {
  const auto it =
      std::ranges::find_if(names, [this](std::string_view name) { return json_.has(name); });
  return it == names.end() ? *std::prev(names.end()) : *it;
}

Status HfReader::number(std::string_view from, std::string_view key, double fallback) {
  LATHE_TRY(const double value, json_.real(from, fallback));
  add(key, value);
  return {};
}

Status HfReader::number(std::string_view from, std::string_view key) {
  LATHE_TRY(const double value, json_.real(from));
  add(key, value);
  return {};
}

Result<std::uint64_t> HfReader::count(std::string_view from, std::string_view key,
                                      std::uint64_t max, std::optional<std::uint64_t> fallback) {
  LATHE_TRY(const auto value, json_.uint(from, 1, max, fallback));
  add(key, value);
  return value;
}

Status HfReader::must_be(std::string_view key, const SortedJson& value, bool or_absent) const {
  const SortedJson& found = json_[key];
  if (found == value || (or_absent && found.is_null())) return {};
  return invalid("{}: \"{}\" is {}; Lathe imports such models with {}", json_.place(), key,
                 found.is_null() ? "missing" : found.dump(), value.dump());
}

Status HfReader::read_decoder() {
  LATHE_TRY_STATUS(read_sizes());
  LATHE_TRY_STATUS(read_rope());
  return refuse_what_is_different();
}

Status HfReader::read_sizes() {
  LATHE_TRY(const auto context,
            json_.uint(one_of({"max_position_embeddings", "model_max_length"}), 1, kMaxContext));
  LATHE_TRY(config_.layers, json_.uint("num_hidden_layers", 1, kMaxLayers));
  LATHE_TRY(config_.embedding, json_.uint("hidden_size", 1, kMaxSize));
  LATHE_TRY(const auto hidden,
            json_.uint(one_of({"intermediate_size", "moe_intermediate_size"}), 1, kMaxSize));
  LATHE_TRY(config_.heads, json_.uint("num_attention_heads", 1, 65536));
  LATHE_TRY(config_.kv_heads, json_.uint("num_key_value_heads", 1, 65536, config_.heads));
  LATHE_TRY(config_.head_dim, json_.uint(one_of({"head_dim", "attention_head_dim"}), 1, 65536,
                                         config_.embedding / config_.heads));
  LATHE_TRY(config_.vocabulary, json_.uint("vocab_size", 1, kMaxSize));
  LATHE_TRY(config_.tied, json_.flag("tie_word_embeddings", false));
  if (config_.heads % config_.kv_heads != 0)
    return invalid(
        "{}: \"num_attention_heads\" is {}; it must be a multiple of "
        "\"num_key_value_heads\", {}",
        json_.place(), config_.heads, config_.kv_heads);
  if (config_.head_dim == 0 || config_.head_dim % 2 != 0)
    return invalid("{}: \"head_dim\" is {}; it must be even", json_.place(), config_.head_dim);
  add("context_length", context);
  add("embedding_length", config_.embedding);
  add("block_count", config_.layers);
  add("feed_forward_length", hidden);
  add("attention.head_count", config_.heads);
  add("attention.head_count_kv", config_.kv_heads);
  add("attention.key_length", config_.head_dim);
  add("attention.value_length", config_.head_dim);
  // Layer norms have an epsilon of another name.
  if (json_.has("layer_norm_eps")) {
    LATHE_TRY_STATUS(number("layer_norm_eps", "attention.layer_norm_epsilon"));
  } else {
    LATHE_TRY_STATUS(number(one_of({"rms_norm_eps", "norm_eps", "layer_norm_epsilon"}),
                            "attention.layer_norm_rms_epsilon", 1e-6));
  }
  LATHE_TRY(const double rotary, json_.real("partial_rotary_factor", 1));
  const auto turned = static_cast<std::uint64_t>(static_cast<double>(config_.head_dim) * rotary);
  if (!(rotary > 0 && rotary <= 1) || turned < 2 || turned % 2 != 0 ||
      (config_.family->pairs && turned != config_.head_dim))
    return invalid("{}: \"partial_rotary_factor\" is {}; it must leave an even part of {}{}",
                   json_.place(), rotary, config_.head_dim,
                   config_.family->pairs ? ", all of them in such a model" : "");
  add("rope.dimension_count", turned);
  add("vocab_size", config_.vocabulary);
  config_.parts.assign(config_.layers, kAttends | kDense);
  return {};
}

Status HfReader::read_experts(std::size_t dense_layers) {
  LATHE_TRY(config_.experts, json_.uint(one_of({"num_experts", "num_local_experts",
                                                "moe_num_experts", "n_routed_experts"}),
                                        1, 4096));
  LATHE_TRY(const auto used,
            json_.uint(one_of({"num_experts_per_tok", "moe_k"}), 1, config_.experts));
  add("expert_count", config_.experts);
  add("expert_used_count", used);
  if (json_.has("moe_intermediate_size")) {
    LATHE_TRY_STATUS(count("moe_intermediate_size", "expert_feed_forward_length", kMaxSize));
  }
  if (dense_layers != 0) add("leading_dense_block_count", std::uint64_t{dense_layers});
  for (std::size_t i = std::min(dense_layers, config_.parts.size()); i < config_.parts.size(); ++i)
    config_.parts[i] = (config_.parts[i] & ~kDense) | kExperts;
  return {};
}

Result<std::vector<bool>> HfReader::layers_of(std::string_view type) const {
  const SortedJson& types = json_["layer_types"];
  std::vector<bool> is;
  if (types.is_null()) return is;
  if (!types.is_array() || types.size() != config_.layers)
    return invalid("{}: \"layer_types\" is not a list of {} layers", json_.place(), config_.layers);
  for (const SortedJson& each : types)
    is.push_back(each.is_string() && each.get_ref<const std::string&>() == type);
  return is;
}

Status HfReader::read_windows(std::size_t period) {
  LATHE_TRY_STATUS(count("sliding_window", "attention.sliding_window", kMaxContext));
  LATHE_TRY(std::vector<bool> windowed, layers_of("sliding_attention"));
  LATHE_TRY(const auto own, json_.uint("sliding_window_pattern", 1, kMaxLayers, period));
  if (windowed.empty())
    for (std::size_t i = 0; i < config_.layers; ++i) windowed.push_back((i + 1) % own != 0);
  bool usual = true;
  for (std::size_t i = 0; i < windowed.size(); ++i) usual &= windowed[i] == ((i + 1) % period != 0);
  if (!usual) add("attention.sliding_window_pattern", std::move(windowed));
  return {};
}

void HfReader::add_predictors(std::size_t count, LayerParts parts) {
  if (count == 0) return;
  config_.predicting = count;
  config_.parts.insert(config_.parts.end(), count, parts | kPredicts);
  add("block_count", std::uint64_t{config_.layers + count});
  add("nextn_predict_layers", std::uint64_t{count});
}

Status HfReader::read_rope() {
  // Newer configurations keep the base among the parameters of the scaling, and some of those by
  // the kind of a layer.
  const bool newer = json_.has("rope_parameters");
  LATHE_TRY(const JsonObject outer, json_.object(newer ? "rope_parameters" : "rope_scaling"));
  const bool by_layer = outer.has("full_attention");
  LATHE_TRY(const JsonObject inner, outer.object("full_attention"));
  const JsonObject& rope = by_layer ? inner : outer;
  LATHE_TRY(const double outer_base, json_.real("rope_theta", 10000));
  LATHE_TRY(const double base, rope.real("rope_theta", outer_base));
  if (!(base >= 1 && base <= 1e12))
    return invalid("{}: \"rope_theta\" is {}; it must lie between 1 and 1e12", json_.place(), base);
  add("rope.freq_base", base);
  if (rope.has("partial_rotary_factor")) {
    LATHE_TRY(const double rotary, rope.real("partial_rotary_factor"));
    if (!(rotary > 0 && rotary <= 1))
      return invalid("{}: \"partial_rotary_factor\" is {}; it must lie between 0 and 1",
                     rope.place(), rotary);
    add("rope.dimension_count",
        static_cast<std::uint64_t>(static_cast<double>(config_.head_dim) * rotary));
  }
  LATHE_TRY(const JsonObject windowed, outer.object("sliding_attention"));
  LATHE_TRY(const double window_base,
            json_.real("rope_local_base_freq", windowed.has("rope_theta") ? -1.0 : 0.0));
  if (window_base < 0) {
    LATHE_TRY(const double theta, windowed.real("rope_theta"));
    add("rope.freq_base_swa", theta);
  } else if (window_base > 0) {
    add("rope.freq_base_swa", window_base);
  }
  LATHE_TRY(const std::string older_type, rope.text("type", "default"));
  LATHE_TRY(const std::string type, rope.text("rope_type", older_type));
  if (type == "default" || type == "none" || type == "longrope" || type == "su") return {};
  LATHE_TRY(const double factor, rope.real("factor"));
  if (!(factor >= 1 && factor <= 1e6))
    return invalid("{}: \"factor\" is {}; it must be between 1 and 1e6", rope.place(), factor);
  if (type == "llama3") return read_llama3(rope, base, factor);
  if (type != "linear" && type != "yarn")
    return invalid("{}: \"rope_type\" is '{}'; Lathe imports default, linear, yarn and llama3",
                   rope.place(), type);
  add("rope.scaling.type", type);
  add("rope.scaling.factor", factor);
  return type == "yarn" ? read_yarn(rope, factor) : Status();
}

Status HfReader::read_yarn(const JsonObject& rope, double factor) {
  LATHE_TRY(const auto context, json_.uint("max_position_embeddings", 1, kMaxContext));
  LATHE_TRY(const auto original,
            rope.uint("original_max_position_embeddings", 1, kMaxContext, context));
  add("rope.scaling.original_context_length", original);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kBetas = {
      {{"beta_fast", "rope.scaling.yarn_beta_fast"}, {"beta_slow", "rope.scaling.yarn_beta_slow"}}};
  for (const auto& [from, to] : kBetas) {
    if (!rope.has(from)) continue;
    LATHE_TRY(const double beta, rope.real(from));
    add(to, beta);
  }
  if (!config_.family->mscale && (rope.has("mscale") || rope.has("mscale_all_dim")))
    return invalid("{}: \"mscale\" has no meaning in a {} model", rope.place(),
                   config_.architecture);
  if (rope.has("attention_factor")) {
    LATHE_TRY(const double magnitude, rope.real("attention_factor"));
    add("rope.scaling.attn_factor", magnitude / (1 + 0.1 * std::log(factor)));
  }
  return {};
}

// Wavelengths above original / low_freq_factor are stretched by `factor`, those below original /
// high_freq_factor are left, and between them the frequency is interpolated.
Status HfReader::read_llama3(const JsonObject& rope, double base, double factor) {
  LATHE_TRY(const double low, rope.real("low_freq_factor", 1));
  LATHE_TRY(const double high, rope.real("high_freq_factor", 4));
  LATHE_TRY(const auto original,
            rope.uint("original_max_position_embeddings", 1, kMaxContext, 8192));
  if (!(low > 0 && high > low))
    return invalid(
        "{}: \"low_freq_factor\" is {}, \"high_freq_factor\" {}; the second must be "
        "larger, both positive",
        rope.place(), low, high);
  const auto context = static_cast<double>(original);
  for (std::size_t k = 0; k < config_.head_dim / 2; ++k) {
    const double exponent = 2 * static_cast<double>(k) / static_cast<double>(config_.head_dim);
    const double wavelength = 2 * std::numbers::pi * std::pow(base, exponent);
    double stretch = 1;
    if (wavelength > context / low) {
      stretch = factor;
    } else if (wavelength > context / high) {
      const double smooth = (context / wavelength - low) / (high - low);
      stretch = 1 / ((1 - smooth) / factor + smooth);
    }
    config_.rope_factors.push_back(static_cast<float>(stretch));
  }
  return {};
}

Status HfReader::refuse_what_is_different() {
  const std::string_view key = one_of({"hidden_activation", "hidden_act"});
  LATHE_TRY(const std::string activation, json_.text(key, std::string(config_.family->activation)));
  if (activation != config_.family->activation)
    return invalid("{}: \"{}\" is '{}'; Lathe imports such models with {}", json_.place(), key,
                   activation, config_.family->activation);
  LATHE_TRY(const JsonObject quantized, json_.object("quantization_config"));
  LATHE_TRY(const std::string method, quantized.text("quant_method", ""));
  config_.mxfp4 = method == "mxfp4" && config_.architecture == "gpt-oss";
  if (json_.has("quantization_config") && !config_.mxfp4)
    return invalid(
        "{}: \"quantization_config\" says that the weights are quantized; import the "
        "model they were made from",
        json_.place());
  return {};
}

Result<JsonObject> open_hf_config(const fs::path& directory) {
  return JsonObject::read(directory / "config.json", kMaxMembers);
}

Result<HfConfig> read_hf_config(const JsonObject& json, const fs::path& directory,
                                const SafeTensors& model) {
  HfConfig config;
  LATHE_TRY(config.family, find_family(json));
  config.architecture = config.family->gguf;
  // Models with eyes keep the decoder's part apart.
  LATHE_TRY(const JsonObject inner, json.object("text_config"));
  HfReader reader(json.with(inner), model, config);
  LATHE_TRY_STATUS(config.family->read(reader));
  LATHE_TRY_STATUS(add_sampling(directory, config.metadata));
  return config;
}

}  // namespace lathe::infer
