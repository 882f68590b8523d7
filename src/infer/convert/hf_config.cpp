// Hugging Face's config.json to GGUF metadata.
#include "infer/convert/hf_config.h"

#include <array>
#include <cmath>
#include <numbers>

#include "infer/convert/json_object.h"
#include "infer/formats/input_file.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMaxMembers = 20000;
constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 24;
constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 31;

struct Architecture {
  std::string_view hf, gguf;
  bool experts;
};
constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama", false},  {"MistralForCausalLM", "llama", false},
    {"MixtralForCausalLM", "llama", true}, {"Qwen2ForCausalLM", "qwen2", false},
    {"Qwen3ForCausalLM", "qwen3", false},  {"Qwen3MoeForCausalLM", "qwen3moe", true},
};

class ConfigReader {
 public:
  explicit ConfigReader(const JsonObject& json) : json_(json) {}

  Result<HfConfig> read() {
    LATHE_TRY(const Architecture architecture, find_architecture());
    config_.architecture = architecture.gguf;
    config_.rotates_pairs = architecture.gguf == "llama";
    LATHE_TRY_STATUS(read_sizes());
    if (architecture.experts) LATHE_TRY_STATUS(read_experts());
    LATHE_TRY_STATUS(read_rope());
    LATHE_TRY_STATUS(refuse_what_is_different());
    return std::move(config_);
  }

 private:
  Result<Architecture> find_architecture() const {
    const SortedJson& names = json_["architectures"];
    const std::string name = names.is_array() && names.size() == 1 && names[0].is_string()
                                 ? names[0].get<std::string>()
                                 : "";
    std::string known;
    for (const Architecture& architecture : kArchitectures) {
      if (architecture.hf == name) return architecture;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", architecture.hf);
    }
    return invalid("{}: \"architectures\" names '{}'; Lathe imports {}", json_.place(), shown(name),
                   known);
  }

  void add(std::string_view key, GgufValue value) {
    config_.metadata.emplace_back(fmt::format("{}.{}", config_.architecture, key),
                                  std::move(value));
  }

  Status read_sizes() {
    LATHE_TRY(const auto context, json_.uint("max_position_embeddings", 1, kMaxContext));
    LATHE_TRY(config_.layers, json_.uint("num_hidden_layers", 1, 1024));
    LATHE_TRY(config_.embedding, json_.uint("hidden_size", 1, kMaxSize));
    LATHE_TRY(const auto hidden, json_.uint("intermediate_size", 1, kMaxSize));
    LATHE_TRY(config_.heads, json_.uint("num_attention_heads", 1, 65536));
    LATHE_TRY(config_.kv_heads, json_.uint("num_key_value_heads", 1, 65536, config_.heads));
    LATHE_TRY(config_.head_dim,
              json_.uint("head_dim", 1, 65536, config_.embedding / config_.heads));
    LATHE_TRY(config_.vocabulary, json_.uint("vocab_size", 1, kMaxSize));
    LATHE_TRY(const double epsilon, json_.real("rms_norm_eps", 1e-6));
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
    add("attention.layer_norm_rms_epsilon", epsilon);
    add("rope.dimension_count", config_.head_dim);
    add("vocab_size", config_.vocabulary);
    return {};
  }

  Status read_experts() {
    LATHE_TRY(config_.experts,
              json_.uint(json_.has("num_experts") ? "num_experts" : "num_local_experts", 1, 1024));
    LATHE_TRY(const auto used, json_.uint("num_experts_per_tok", 1, config_.experts));
    add("expert_count", config_.experts);
    add("expert_used_count", used);
    if (config_.architecture != "qwen3moe") return {};
    LATHE_TRY(const auto hidden, json_.uint("moe_intermediate_size", 1, kMaxSize));
    LATHE_TRY(const bool normalized, json_.flag("norm_topk_prob", true));
    LATHE_TRY(const auto step, json_.uint("decoder_sparse_step", 1, 1024, 1));
    if (!normalized)
      return invalid("{}: \"norm_topk_prob\" is false; GGUF has no place for that in a {} model",
                     json_.place(), config_.architecture);
    const SortedJson& dense = json_["mlp_only_layers"];
    if (step != 1 || (!dense.is_null() && !dense.empty()))
      return invalid(
          "{}: \"decoder_sparse_step\" or \"mlp_only_layers\" make some layers dense; "
          "Lathe runs experts in all layers",
          json_.place());
    add("expert_feed_forward_length", hidden);
    return {};
  }

  Status read_rope() {
    // Newer configurations keep the base among the parameters of the scaling.
    const bool newer = json_.has("rope_parameters");
    LATHE_TRY(const JsonObject rope, json_.object(newer ? "rope_parameters" : "rope_scaling"));
    LATHE_TRY(const double outer_base, json_.real("rope_theta", 10000));
    LATHE_TRY(const double base, rope.real("rope_theta", outer_base));
    if (!(base >= 1 && base <= 1e12))
      return invalid("{}: \"rope_theta\" is {}; it must lie between 1 and 1e12", json_.place(),
                     base);
    add("rope.freq_base", base);
    LATHE_TRY(const std::string older_type, rope.text("type", "default"));
    LATHE_TRY(const std::string type, rope.text("rope_type", older_type));
    if (type == "default" || type == "none") return {};
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

  Status read_yarn(const JsonObject& rope, double factor) {
    LATHE_TRY(const auto context, json_.uint("max_position_embeddings", 1, kMaxContext));
    LATHE_TRY(const auto original,
              rope.uint("original_max_position_embeddings", 1, kMaxContext, context));
    add("rope.scaling.original_context_length", original);
    constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kBetas = {
        {{"beta_fast", "rope.scaling.yarn_beta_fast"},
         {"beta_slow", "rope.scaling.yarn_beta_slow"}}};
    for (const auto& [from, to] : kBetas) {
      if (!rope.has(from)) continue;
      LATHE_TRY(const double beta, rope.real(from));
      add(to, beta);
    }
    if (rope.has("mscale") || rope.has("mscale_all_dim"))
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
  Status read_llama3(const JsonObject& rope, double base, double factor) {
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

  Status refuse_what_is_different() {
    LATHE_TRY(const std::string activation, json_.text("hidden_act", "silu"));
    if (activation != "silu")
      return invalid("{}: \"hidden_act\" is '{}'; Lathe imports models with silu", json_.place(),
                     activation);
    LATHE_TRY(const double rotary, json_.real("partial_rotary_factor", 1));
    if (rotary != 1)
      return invalid(
          "{}: \"partial_rotary_factor\" is {}; Lathe imports models whose whole heads "
          "rotate",
          json_.place(), rotary);
    if (json_.has("quantization_config"))
      return invalid(
          "{}: \"quantization_config\" says that the weights are quantized; import the "
          "model they were made from",
          json_.place());
    LATHE_TRY(const bool uses_window,
              json_.flag("use_sliding_window", config_.architecture == "llama"));
    if (uses_window && json_.has("sliding_window")) {
      LATHE_TRY(const auto window, json_.uint("sliding_window", 1, kMaxContext));
      LATHE_TRY(const auto context, json_.uint("max_position_embeddings", 1, kMaxContext));
      if (window < context)
        config_.warnings.push_back(
            fmt::format("\"sliding_window\" {} is not kept: attention sees all positions", window));
    }
    return {};
  }

  const JsonObject& json_;
  HfConfig config_;
};

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

Result<HfConfig> read_hf_config(const fs::path& directory) {
  LATHE_TRY(const JsonObject json, JsonObject::read(directory / "config.json", kMaxMembers));
  LATHE_TRY(HfConfig config, ConfigReader(json).read());
  LATHE_TRY_STATUS(add_sampling(directory, config.metadata));
  return config;
}

}  // namespace lathe::infer
