// The readers of families' config.json.
#include "infer/convert/hf_readers.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {
namespace {

constexpr std::uint64_t kSigmoid = 2;  // expert_gating_func

// Layers of `parts` where `is` says so, of `others` elsewhere.
void mark(HfConfig& config, const std::vector<bool>& is, LayerParts parts, LayerParts others) {
  for (std::size_t i = 0; i < is.size(); ++i) config.parts[i] = is[i] ? parts : others;
}

// The KV heads of layers with attention, 0 of others.
std::vector<std::uint64_t> kv_heads_by_layer(const HfConfig& config) {
  std::vector<std::uint64_t> heads;
  for (std::size_t i = 0; i < config.layers; ++i)
    heads.push_back((config.parts[i] & kAttends) != 0 ? config.kv_heads : 0);
  return heads;
}

Status read_scoring(HfReader& reader, std::string_view usual) {
  LATHE_TRY(const std::string rule, reader.json().text("scoring_func", std::string(usual)));
  if (rule == "sigmoid") reader.add("expert_gating_func", kSigmoid);
  if (rule != "sigmoid" && rule != "softmax")
    return invalid("{}: \"scoring_func\" is '{}'; Lathe imports sigmoid and softmax",
                   reader.json().place(), rule);
  return {};
}

Status read_scales(HfReader& reader) {
  LATHE_TRY_STATUS(reader.number("embedding_multiplier", "embedding_scale", 1));
  LATHE_TRY_STATUS(reader.number("residual_multiplier", "residual_scale", 1));
  LATHE_TRY_STATUS(reader.number("logits_scaling", "logit_scale", 1));
  if (reader.json().has("attention_multiplier"))
    return reader.number("attention_multiplier", "attention.scale");
  return {};
}

// Mamba-2's sizes under these names.
struct MambaNames {
  std::string_view heads, head_dim, groups, states, taps;
};
Status read_mamba(HfReader& reader, const MambaNames& names) {
  HfConfig& config = reader.config();
  LATHE_TRY(config.value_heads, reader.count(names.heads, "ssm.time_step_rank", 65536));
  LATHE_TRY(const auto head_dim, reader.json().uint(names.head_dim, 1, 65536));
  LATHE_TRY(config.groups, reader.count(names.groups, "ssm.group_count", 4096));
  LATHE_TRY_STATUS(reader.count(names.states, "ssm.state_size", 4096));
  LATHE_TRY_STATUS(reader.count(names.taps, "ssm.conv_kernel", 64));
  reader.add("ssm.inner_size", config.value_heads * head_dim);
  return {};
}

Status read_delta_net(HfReader& reader) {
  HfConfig& config = reader.config();
  LATHE_TRY(config.state, reader.count("linear_key_head_dim", "ssm.state_size", 4096));
  LATHE_TRY(config.key_heads, reader.count("linear_num_key_heads", "ssm.group_count", 4096));
  LATHE_TRY(config.value_heads, reader.count("linear_num_value_heads", "ssm.time_step_rank", 4096));
  LATHE_TRY_STATUS(reader.count("linear_conv_kernel_dim", "ssm.conv_kernel", 64));
  LATHE_TRY_STATUS(reader.must_be("linear_value_head_dim", config.state, false));
  if (config.value_heads % config.key_heads != 0)
    return invalid("{}: \"linear_num_value_heads\" is {}; it must be a multiple of {}",
                   reader.json().place(), config.value_heads, config.key_heads);
  reader.add("ssm.inner_size", std::uint64_t{config.state * config.value_heads});

  LATHE_TRY(const auto interval,
            reader.count("full_attention_interval", "full_attention_interval", 1024, 4));
  LATHE_TRY(std::vector<bool> attends, reader.layers_of("full_attention"));
  for (std::size_t i = 0; i < attends.size(); ++i)
    if (attends[i] != ((i + 1) % interval == 0))
      return invalid("{}: \"layer_types\"[{}] is not that of one attention layer in {}",
                     reader.json().place(), i, interval);
  for (std::size_t i = 0; i < config.layers; ++i)
    config.parts[i] =
        ((i + 1) % interval == 0 ? kAttends : kCarries) | (config.experts != 0 ? kExperts : kDense);
  if (config.experts != 0)
    LATHE_TRY_STATUS(reader.count("shared_expert_intermediate_size",
                                  "expert_shared_feed_forward_length", kMaxSize));
  const LayerParts predicts = kAttends | (config.experts != 0 ? kExperts : kDense);
  reader.add_predictors(reader.has_tensor("mtp.fc.weight") ? 1 : 0, predicts);
  return {};
}

Status need_all_sparse(const HfReader& reader) {
  LATHE_TRY_STATUS(reader.must_be("decoder_sparse_step", 1));
  return reader.must_be("mlp_only_layers", SortedJson::array());
}

}  // namespace

Status read_plain(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  const JsonObject& json = reader.json();
  LATHE_TRY(const bool uses,
            json.flag("use_sliding_window", reader.config().architecture == "llama"));
  if (!uses || !json.has("sliding_window")) return {};
  LATHE_TRY(const auto window, json.uint("sliding_window", 1, kMaxContext));
  LATHE_TRY(const auto context, json.uint("max_position_embeddings", 1, kMaxContext));
  if (window < context)
    reader.config().warnings.push_back(
        fmt::format("\"sliding_window\" {} is not kept: attention sees all positions", window));
  return {};
}

Status read_mixtral(HfReader& reader) {
  LATHE_TRY_STATUS(read_plain(reader));
  return reader.read_experts();
}

// YaRN's magnitude, and q grown at far positions.
Status read_mistral(HfReader& reader) {
  LATHE_TRY_STATUS(read_plain(reader));
  LATHE_TRY(const JsonObject rope, reader.json().object("rope_parameters"));
  if (rope.has("mscale_all_dim")) {
    LATHE_TRY(const double multiplier, rope.real("mscale_all_dim"));
    reader.add("rope.scaling.yarn_log_multiplier", multiplier);
  }
  if (rope.has("llama_4_scaling_beta")) {
    LATHE_TRY(const double temperature, rope.real("llama_4_scaling_beta"));
    reader.add("attention.temperature_scale", temperature);
  }
  return {};
}

Status read_smollm(HfReader& reader) {
  LATHE_TRY_STATUS(read_plain(reader));
  LATHE_TRY_STATUS(reader.must_be("no_rope_layer_interval", 4));
  const SortedJson& turns = reader.json()["no_rope_layers"];
  for (std::size_t i = 0; turns.is_array() && i < turns.size(); ++i)
    if (turns[i] != SortedJson((i + 1) % 4 != 0 ? 1 : 0))
      return invalid("{}: \"no_rope_layers\"[{}] is {}; every fourth layer has no RoPE",
                     reader.json().place(), i, turns[i].dump());
  return {};
}

Status read_qwen_moe(HfReader& reader) {
  LATHE_TRY_STATUS(read_plain(reader));
  LATHE_TRY_STATUS(reader.read_experts());
  LATHE_TRY_STATUS(need_all_sparse(reader));
  if (reader.config().architecture == "qwen3moe") return reader.must_be("norm_topk_prob", true);
  LATHE_TRY(const bool normalized, reader.json().flag("norm_topk_prob", false));
  if (normalized) reader.add("expert_weights_norm", true);
  LATHE_TRY_STATUS(reader.count("shared_expert_intermediate_size",
                                "expert_shared_feed_forward_length", kMaxSize));
  return {};
}

Status read_qwen_next(HfReader& reader) {
  reader.absent_means("partial_rotary_factor", 0.25);
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.read_experts());
  LATHE_TRY_STATUS(need_all_sparse(reader));
  LATHE_TRY_STATUS(reader.must_be("norm_topk_prob", true));
  return read_delta_net(reader);
}

// Three sections of positions (time, height, width), which are one and the same in a text.
Status read_qwen35(HfReader& reader) {
  reader.absent_means("partial_rotary_factor", 0.25);
  LATHE_TRY_STATUS(reader.read_decoder());
  std::vector<std::uint64_t> sections = {11, 11, 10};
  LATHE_TRY(const JsonObject rope, reader.json().object("rope_parameters"));
  const SortedJson& own = rope["mrope_section"];
  if (own.is_array()) {
    sections.clear();
    for (const SortedJson& each : own) {
      if (!each.is_number_unsigned() || own.size() > 4 || each.get<std::uint64_t>() > 65536)
        return invalid("{}: \"mrope_section\" is {}; it must be up to four sizes", rope.place(),
                       own.dump());
      sections.push_back(each.get<std::uint64_t>());
    }
  }
  sections.resize(4);
  reader.add("rope.dimension_sections", sections);
  if (reader.config().architecture == "qwen35moe") LATHE_TRY_STATUS(reader.read_experts());
  return read_delta_net(reader);
}

Status read_gpt_oss(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.read_experts());
  LATHE_TRY_STATUS(reader.count("intermediate_size", "expert_feed_forward_length", kMaxSize));
  LATHE_TRY_STATUS(reader.must_be("swiglu_limit", 7.0));
  return reader.read_windows(2);
}

Status read_gemma2(HfReader& reader) {
  reader.absent_means("tie_word_embeddings", true);
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.number("attn_logit_softcapping", "attn_logit_softcapping", 50));
  LATHE_TRY_STATUS(reader.number("final_logit_softcapping", "final_logit_softcapping", 30));
  const auto head_dim = static_cast<double>(reader.config().head_dim);
  LATHE_TRY(const double scalar, reader.json().real("query_pre_attn_scalar", head_dim));
  if (scalar != head_dim && scalar > 0) reader.add("attention.scale", 1 / std::sqrt(scalar));
  return reader.read_windows(2);
}

Status read_gemma3(HfReader& reader) {
  reader.absent_means("tie_word_embeddings", true);
  reader.absent_means("max_position_embeddings", 131072);
  reader.absent_means("num_attention_heads", 8);
  reader.absent_means("num_key_value_heads", 4);
  reader.absent_means("head_dim", 256);
  reader.absent_means("vocab_size", 262208);
  reader.absent_means("rope_theta", 1e6);
  LATHE_TRY_STATUS(reader.read_decoder());
  const auto head_dim = static_cast<double>(reader.config().head_dim);
  LATHE_TRY(const double scalar, reader.json().real("query_pre_attn_scalar", head_dim));
  if (scalar != head_dim && scalar > 0) reader.add("attention.scale", 1 / std::sqrt(scalar));
  if (reader.json().has("final_logit_softcapping"))
    LATHE_TRY_STATUS(reader.number("final_logit_softcapping", "final_logit_softcapping"));
  LATHE_TRY_STATUS(reader.must_be("attn_logit_softcapping", nullptr));
  return reader.read_windows(6);
}

// Heads of one size in layers that see a window, of another in the others; of those only some
// dimensions turn. The last layers have no keys and values of their own, and may be twice as wide.
Status read_gemma4(HfReader& reader) {
  reader.absent_means("tie_word_embeddings", true);
  LATHE_TRY(const JsonObject ropes, reader.json().object("rope_parameters"));
  LATHE_TRY(const JsonObject full, ropes.object("full_attention"));
  LATHE_TRY(const JsonObject near, ropes.object("sliding_attention"));
  LATHE_TRY(const double base, full.real("rope_theta", 1e6));
  LATHE_TRY(const double near_base, near.real("rope_theta", 1e4));
  LATHE_TRY(const std::string type, full.text("rope_type", "proportional"));
  if (type != "proportional")
    return invalid("{}: \"rope_type\" is '{}'; Lathe imports such models with proportional",
                   full.place(), type);
  LATHE_TRY(const double rotary, full.real("partial_rotary_factor", 0.25));
  reader.replace("rope_parameters", nullptr);
  reader.replace("rope_theta", base);
  LATHE_TRY_STATUS(reader.read_decoder());
  HfConfig& config = reader.config();
  const JsonObject& json = reader.json();
  const std::uint64_t near_dim = config.head_dim;
  LATHE_TRY(const auto far_dim, json.uint("global_head_dim", 8, 65536, near_dim));
  for (const char* key : {"attention.key_length", "attention.value_length", "rope.dimension_count"})
    reader.add(key, far_dim);
  for (const char* key :
       {"attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa"})
    reader.add(key, near_dim);
  reader.add("rope.freq_base_swa", near_base);
  const auto turned = static_cast<std::size_t>(static_cast<double>(far_dim) * rotary / 2);
  for (std::size_t i = 0; i < far_dim / 2; ++i)
    config.rope_factors.push_back(i < turned ? 1.0F : 1e30F);

  LATHE_TRY(const auto shared, json.uint("num_kv_shared_layers", 0, config.layers - 1, 0));
  reader.add("attention.shared_kv_layers", shared);
  LATHE_TRY(const auto input, json.uint("hidden_size_per_layer_input", 0, kMaxSize, 0));
  reader.add("embedding_length_per_layer_input", input);
  if (json.has("final_logit_softcapping"))
    LATHE_TRY_STATUS(reader.number("final_logit_softcapping", "final_logit_softcapping"));
  LATHE_TRY_STATUS(reader.count("sliding_window", "attention.sliding_window", kMaxContext));
  LATHE_TRY(std::vector<bool> windowed, reader.layers_of("sliding_attention"));
  if (windowed.empty()) return invalid("{}: \"layer_types\" is missing", json.place());
  LATHE_TRY(const auto far_heads,
            json.uint("num_global_key_value_heads", 1, 65536, config.kv_heads));
  LATHE_TRY(const auto hidden, json.uint("intermediate_size", 1, kMaxSize));
  LATHE_TRY(const bool wide, json.flag("use_double_wide_mlp", false));
  LATHE_TRY(const bool keys_alone, json.flag("attention_k_eq_v", false));
  std::vector<std::uint64_t> heads, widths;
  for (std::size_t i = 0; i < config.layers; ++i) {
    const LayerParts own = windowed[i] || !keys_alone ? kOwnKeys | kOwnValues : kOwnKeys;
    config.parts[i] |= i < config.layers - shared ? own : kShares;
    heads.push_back(windowed[i] ? config.kv_heads : far_heads);
    widths.push_back(wide && i >= config.layers - shared ? 2 * hidden : hidden);
  }
  if (far_heads != config.kv_heads) reader.add("attention.head_count_kv", std::move(heads));
  if (wide) reader.add("feed_forward_length", std::move(widths));
  reader.add("attention.sliding_window_pattern", std::move(windowed));
  LATHE_TRY(const bool mixture, json.flag("enable_moe_block", false));
  if (!mixture) return {};
  reader.replace("num_experts_per_tok", json["top_k_experts"]);
  reader.replace("moe_intermediate_size",
                 json[reader.one_of({"expert_intermediate_size", "moe_intermediate_size"})]);
  return reader.read_experts();
}

Status read_glm(HfReader& reader) {
  reader.absent_means("partial_rotary_factor", 0.5);
  return reader.read_decoder();
}

Status read_glm_moe(HfReader& reader) {
  reader.absent_means("partial_rotary_factor", 0.5);
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY(const auto dense,
            reader.json().uint("first_k_dense_replace", 0, reader.config().layers, 0));
  LATHE_TRY_STATUS(reader.read_experts(dense));
  LATHE_TRY_STATUS(reader.count("n_shared_experts", "expert_shared_count", 1024));
  LATHE_TRY(const bool normalized, reader.json().flag("norm_topk_prob", true));
  reader.add("expert_weights_norm", normalized);
  reader.add("expert_gating_func", kSigmoid);
  LATHE_TRY_STATUS(reader.number("routed_scaling_factor", "expert_weights_scale", 1));
  LATHE_TRY(const auto predicting, reader.json().uint("num_nextn_predict_layers", 0, 1, 0));
  reader.add_predictors(predicting, kAttends | kExperts);
  return {};
}

// Latent attention; a position's row is that of one head.
Status read_deepseek(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  HfConfig& config = reader.config();
  const JsonObject& json = reader.json();
  LATHE_TRY(const auto latent, reader.count("kv_lora_rank", "attention.kv_lora_rank", 65536));
  LATHE_TRY(const auto turned, reader.count("qk_rope_head_dim", "rope.dimension_count", 65536));
  LATHE_TRY(config.plain, json.uint("qk_nope_head_dim", 1, 65536));
  LATHE_TRY(config.value_dim, reader.count("v_head_dim", "attention.value_length_mla", 65536));
  if (json.has("q_lora_rank"))
    LATHE_TRY_STATUS(reader.count("q_lora_rank", "attention.q_lora_rank", kMaxSize));
  reader.add("attention.head_count_kv", std::uint64_t{1});
  reader.add("attention.key_length", latent + turned);
  reader.add("attention.value_length", latent);
  reader.add("attention.key_length_mla", config.plain + turned);
  LATHE_TRY(const auto dense, json.uint("first_k_dense_replace", 0, config.layers, 0));
  LATHE_TRY_STATUS(reader.must_be("moe_layer_freq", 1));
  LATHE_TRY_STATUS(reader.read_experts(dense));
  LATHE_TRY_STATUS(reader.count("n_shared_experts", "expert_shared_count", 1024));
  LATHE_TRY_STATUS(reader.number("routed_scaling_factor", "expert_weights_scale", 1));
  LATHE_TRY(const bool normalized, json.flag("norm_topk_prob", false));
  reader.add("expert_weights_norm", normalized);
  LATHE_TRY_STATUS(read_scoring(reader, "softmax"));
  LATHE_TRY(const auto groups, json.uint("n_group", 1, 4096, 1));
  if (groups > 1) {
    LATHE_TRY_STATUS(reader.count("n_group", "expert_group_count", 4096));
    LATHE_TRY_STATUS(reader.count("topk_group", "expert_group_used_count", groups));
  }
  LATHE_TRY(const JsonObject rope, json.object(reader.one_of({"rope_parameters", "rope_scaling"})));
  if (rope.has("mscale_all_dim")) {
    LATHE_TRY(const double multiplier, rope.real("mscale_all_dim"));
    LATHE_TRY(const double other, rope.real("mscale", multiplier));
    if (other != multiplier)
      return invalid("{}: \"mscale\" is {} and \"mscale_all_dim\" {}; Lathe imports equal ones",
                     rope.place(), other, multiplier);
    reader.add("rope.scaling.yarn_log_multiplier", 0.1 * multiplier);
  }
  return {};
}

// GLM-4.7-Flash: DeepSeek's attention, with a layer that predicts.
Status read_glm_lite(HfReader& reader) {
  LATHE_TRY_STATUS(read_deepseek(reader));
  LATHE_TRY(const auto predicting, reader.json().uint("num_nextn_predict_layers", 0, 1, 0));
  reader.add_predictors(predicting, kAttends | kExperts);
  return {};
}

// Indexers choose what a token sees.
Status read_deepseek_sparse(HfReader& reader) {
  LATHE_TRY_STATUS(read_glm_lite(reader));
  LATHE_TRY_STATUS(reader.count("index_n_heads", "attention.indexer.head_count", 4096));
  LATHE_TRY_STATUS(reader.count("index_head_dim", "attention.indexer.key_length", 4096));
  LATHE_TRY_STATUS(reader.count("index_topk", "attention.indexer.top_k", kMaxContext));
  const SortedJson& types = reader.json()["indexer_types"];
  if (!types.is_array()) return {};
  std::vector<bool> own;
  for (const SortedJson& type : types) own.push_back(type == SortedJson("full"));
  reader.add("attention.indexer.types", std::move(own));
  return {};
}

// Delta nets of Kimi's, and latent attention in the layers that are listed, from 1 on.
Status read_kimi(HfReader& reader) {
  HfConfig& config = reader.config();
  LATHE_TRY_STATUS(reader.read_decoder());
  const JsonObject& json = reader.json();
  LATHE_TRY(const JsonObject linear, json.object("linear_attn_config"));
  LATHE_TRY(const auto taps, linear.uint("short_conv_kernel_size", 2, 64));
  LATHE_TRY(const auto size, linear.uint("head_dim", 8, 4096));
  reader.add("ssm.conv_kernel", taps);
  reader.add("kda.head_dim", size);
  LATHE_TRY(const auto latent, reader.count("kv_lora_rank", "attention.kv_lora_rank", 65536));
  LATHE_TRY(const auto turned, reader.count("qk_rope_head_dim", "rope.dimension_count", 65536));
  LATHE_TRY(config.plain, json.uint("qk_nope_head_dim", 1, 65536));
  LATHE_TRY(config.value_dim, reader.count("v_head_dim", "attention.value_length_mla", 65536));
  reader.add("attention.key_length", latent + turned);
  reader.add("attention.value_length", latent);
  reader.add("attention.key_length_mla", config.plain + turned);
  LATHE_TRY_STATUS(reader.must_be("mla_use_nope", true));
  LATHE_TRY_STATUS(reader.must_be("q_lora_rank", nullptr));
  LATHE_TRY(const auto dense, json.uint("first_k_dense_replace", 0, config.layers, 0));
  LATHE_TRY_STATUS(reader.must_be("moe_layer_freq", 1));
  reader.replace("num_experts_per_tok",
                 json[reader.one_of({"num_experts_per_token", "num_experts_per_tok"})]);
  LATHE_TRY_STATUS(reader.read_experts(dense));
  LATHE_TRY_STATUS(reader.count("num_shared_experts", "expert_shared_count", 1024));
  LATHE_TRY_STATUS(reader.number("routed_scaling_factor", "expert_weights_scale", 1));
  LATHE_TRY_STATUS(reader.must_be("moe_router_activation_func", "sigmoid"));
  LATHE_TRY_STATUS(reader.must_be("moe_renormalize", true));
  reader.add("expert_gating_func", kSigmoid);
  std::vector<std::uint64_t> kv_heads(config.layers, 0);
  const SortedJson& full = linear["full_attn_layers"];
  for (const SortedJson& each : full.is_array() ? full : SortedJson::array())
    if (each.is_number_unsigned() && each.get<std::uint64_t>() - 1 < config.layers)
      kv_heads[each.get<std::size_t>() - 1] = 1;
  for (std::size_t i = 0; i < config.layers; ++i)
    config.parts[i] =
        (config.parts[i] & (kDense | kExperts)) | (kv_heads[i] != 0 ? kAttends : kCarries);
  reader.add("attention.head_count_kv", std::move(kv_heads));
  return {};
}

// "intermediate_size" is that of its experts.
Status read_llama4(HfReader& reader) {
  const JsonObject& json = reader.json();
  LATHE_TRY(const auto hidden, json.uint("intermediate_size", 1, kMaxSize));
  LATHE_TRY(const auto dense, json.uint("intermediate_size_mlp", 1, kMaxSize));
  reader.replace("moe_intermediate_size", hidden);
  reader.replace("intermediate_size", dense);
  LATHE_TRY_STATUS(reader.read_decoder());
  HfConfig& config = reader.config();
  LATHE_TRY_STATUS(reader.must_be("attention_chunk_size", 8192));
  LATHE_TRY_STATUS(reader.must_be("attn_temperature_tuning", SortedJson(true)));
  LATHE_TRY_STATUS(reader.must_be("floor_scale", 8192));
  LATHE_TRY_STATUS(reader.must_be("attn_scale", 0.1));
  LATHE_TRY_STATUS(reader.must_be("no_rope_layer_interval", 4));
  LATHE_TRY(const auto step,
            reader.count("interleave_moe_layer_step", "interleave_moe_layer_step", 1024, 1));
  LATHE_TRY_STATUS(reader.read_experts());
  for (std::size_t i = 0; i < config.layers; ++i)
    if ((i + 1) % step != 0) config.parts[i] = kAttends | kDense;
  return {};
}

Status read_granite(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  return read_scales(reader);
}

// What a layer's tokens all take is its dense part where there are no experts.
Status read_granite_moe(HfReader& reader) {
  LATHE_TRY_STATUS(read_granite(reader));
  LATHE_TRY(const auto experts, reader.json().uint("num_local_experts", 0, 4096, 0));
  if (experts == 0) {
    LATHE_TRY_STATUS(reader.count("shared_intermediate_size", "feed_forward_length", kMaxSize));
    return {};
  }
  LATHE_TRY(const auto shared, reader.json().uint("shared_intermediate_size", 0, kMaxSize, 0));
  if (shared != 0) reader.add("expert_shared_feed_forward_length", shared);
  return reader.read_experts();
}

// Without a layer that carries a state it is Granite with or without experts.
Status read_granite_hybrid(HfReader& reader) {
  HfConfig& config = reader.config();
  const SortedJson& types = reader.json()["layer_types"];
  const bool hybrid = types.is_array() && std::ranges::any_of(types, [](const SortedJson& type) {
                        return type == SortedJson("mamba");
                      });
  LATHE_TRY(const auto experts, reader.json().uint("num_local_experts", 0, 4096, 0));
  if (!hybrid) config.architecture = experts == 0 ? "granite" : "granitemoe";
  LATHE_TRY_STATUS(read_granite_moe(reader));
  if (!hybrid) return {};
  LATHE_TRY_STATUS(read_mamba(reader, {"mamba_n_heads", "mamba_d_head", "mamba_n_groups",
                                       "mamba_d_state", "mamba_d_conv"}));
  LATHE_TRY_STATUS(reader.must_be("mamba_proj_bias", false));
  LATHE_TRY(const std::vector<bool> attends, reader.layers_of("attention"));
  const LayerParts ffn = experts == 0 ? kDense : kExperts;
  mark(config, attends, kAttends | ffn, kCarries | ffn);
  reader.add("attention.head_count_kv", kv_heads_by_layer(config));
  LATHE_TRY(const std::string positions, reader.json().text("position_embedding_type", "nope"));
  reader.add("rope.scaling.finetuned", positions == "rope");
  return {};
}

// Each layer is one part: "M" carries a state, "*" attends, "-" and "E" are feed-forward parts.
Status read_nemotron(HfReader& reader) {
  HfConfig& config = reader.config();
  const bool mixture = reader.json().has("num_experts_per_tok");
  if (mixture) config.architecture = config.family->with_experts;
  LATHE_TRY_STATUS(reader.must_be("mlp_hidden_act", "relu2"));
  LATHE_TRY_STATUS(reader.read_decoder());
  const JsonObject& json = reader.json();
  LATHE_TRY_STATUS(read_mamba(
      reader, {"mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel"}));
  LATHE_TRY(const std::string pattern, json.text("hybrid_override_pattern"));
  if (pattern.size() != config.layers)
    return invalid("{}: \"hybrid_override_pattern\" names {} layers; there are {}", json.place(),
                   pattern.size(), config.layers);
  LATHE_TRY(const auto hidden,
            json.uint(mixture ? "moe_intermediate_size" : "intermediate_size", 1, kMaxSize));
  if (mixture) {
    LATHE_TRY_STATUS(reader.read_experts());
    LATHE_TRY_STATUS(reader.count("n_shared_experts", "expert_shared_count", 1024));
    LATHE_TRY_STATUS(reader.count("moe_shared_expert_intermediate_size",
                                  "expert_shared_feed_forward_length", kMaxSize));
    LATHE_TRY(const bool normalized, json.flag("norm_topk_prob", true));
    reader.add("expert_weights_norm", normalized);
    LATHE_TRY_STATUS(reader.number("routed_scaling_factor", "expert_weights_scale", 1));
    LATHE_TRY_STATUS(reader.count("n_group", "expert_group_count", 4096, 1));
    LATHE_TRY(const auto latent, json.uint("moe_latent_size", 0, kMaxSize, 0));
    if (latent != 0) reader.add("moe_latent_size", latent);
  }
  std::vector<std::uint64_t> widths;
  for (std::size_t i = 0; i < config.layers; ++i) {
    const std::string_view kinds = "M*-E";
    constexpr LayerParts kParts[] = {kCarries, kAttends, kDense, kExperts};
    const std::size_t kind = kinds.find(pattern[i]);
    if (kind == kinds.npos)
      return invalid(
          "{}: \"hybrid_override_pattern\" has '{}' for layer {}; M, *, - and E are known",
          json.place(), shown(pattern.substr(i, 1)), i);
    config.parts[i] = kParts[kind];
    widths.push_back((config.parts[i] & (kDense | kExperts)) != 0 ? hidden : 0);
  }
  reader.add("feed_forward_length", widths);
  reader.add("attention.head_count_kv", kv_heads_by_layer(config));
  return {};
}

Status read_lfm(HfReader& reader) {
  const JsonObject& json = reader.json();
  reader.absent_means("tie_word_embeddings", true);
  // Its width may be two thirds of what is said, grown and rounded up.
  LATHE_TRY(std::uint64_t width,
            json.uint(reader.one_of({"block_ff_dim", "intermediate_size"}), 1, kMaxSize));
  LATHE_TRY(const bool adjusts, json.flag("block_auto_adjust_ff_dim", true));
  if (adjusts) {
    LATHE_TRY(const double grown, json.real("block_ffn_dim_multiplier", 1));
    LATHE_TRY(const auto multiple, json.uint("block_multiple_of", 1, kMaxSize, 256));
    if (!(grown > 0 && grown <= 64))
      return invalid("{}: \"block_ffn_dim_multiplier\" is {}; it must lie between 0 and 64",
                     json.place(), grown);
    const std::uint64_t thirds = 2 * width / 3;
    width = static_cast<std::uint64_t>(grown * static_cast<double>(thirds));
    width = (width + multiple - 1) / multiple * multiple;
  }
  reader.replace("intermediate_size", width);
  LATHE_TRY_STATUS(reader.must_be("conv_bias", false));
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.count("conv_L_cache", "shortconv.l_cache", 64));
  HfConfig& config = reader.config();
  LATHE_TRY(const std::vector<bool> attends, reader.layers_of("full_attention"));
  if (attends.empty()) return invalid("{}: \"layer_types\" is missing", reader.json().place());
  mark(config, attends, kAttends | kDense, kCarries | kDense);
  reader.add("attention.head_count_kv", kv_heads_by_layer(config));
  return {};
}

Status read_lfm_moe(HfReader& reader) {
  reader.replace("block_auto_adjust_ff_dim", false);
  LATHE_TRY_STATUS(read_lfm(reader));
  LATHE_TRY(const auto dense, reader.json().uint("num_dense_layers", 0, reader.config().layers, 0));
  LATHE_TRY_STATUS(reader.read_experts(dense));
  LATHE_TRY_STATUS(reader.must_be("norm_topk_prob", true));
  reader.add("expert_gating_func", kSigmoid);
  return {};
}

// LongRoPE: what divides the frequencies of long and of short contexts.
Status read_phi(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  HfConfig& config = reader.config();
  LATHE_TRY(const JsonObject rope,
            reader.json().object(reader.one_of({"rope_parameters", "rope_scaling"})));
  LATHE_TRY(const auto context, reader.json().uint("max_position_embeddings", 1, kMaxContext));
  const JsonObject& place = rope.has("original_max_position_embeddings") ? rope : reader.json();
  LATHE_TRY(const auto original,
            place.uint("original_max_position_embeddings", 2, kMaxContext, context));
  reader.add("rope.scaling.original_context_length", original);
  if (!rope.has("long_factor")) return {};
  LATHE_TRY(const double rotary, reader.json().real("partial_rotary_factor", 1));
  const auto pairs = static_cast<std::size_t>(static_cast<double>(config.head_dim) * rotary) / 2;
  for (const auto& [key, out] : {std::pair("long_factor", &config.rope_factors_long),
                                 std::pair("short_factor", &config.rope_factors_short)}) {
    const SortedJson& factors = rope[key];
    if (!factors.is_array() || factors.size() != pairs)
      return invalid("{}: \"{}\" is not a list of {} numbers", rope.place(), key, pairs);
    for (const SortedJson& factor : factors) {
      if (!factor.is_number() || !(factor.get<double>() > 0))
        return invalid("{}: \"{}\" has {}; it must be positive", rope.place(), key, factor.dump());
      out->push_back(factor.get<float>());
    }
  }
  const double grown = static_cast<double>(context) / static_cast<double>(original);
  reader.add("rope.scaling.type", std::string("longrope"));
  reader.add(
      "rope.scaling.attn_factor",
      grown > 1 ? std::sqrt(1 + std::log(grown) / std::log(static_cast<double>(original))) : 1.0);
  return {};
}

Status read_olmo3(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  return reader.read_windows(4);
}

Status read_cohere(HfReader& reader) {
  reader.absent_means("tie_word_embeddings", true);
  LATHE_TRY_STATUS(reader.must_be("use_qk_norm", false));
  LATHE_TRY_STATUS(reader.read_decoder());
  if (reader.json().has("model_max_length"))
    LATHE_TRY_STATUS(reader.count("model_max_length", "context_length", kMaxContext));
  return reader.number("logit_scale", "logit_scale");
}

Status read_cohere2(HfReader& reader) {
  LATHE_TRY_STATUS(reader.must_be("rotary_pct", 1.0));
  LATHE_TRY_STATUS(read_cohere(reader));
  return reader.read_windows(4);
}

Status read_minimax(HfReader& reader) {
  LATHE_TRY_STATUS(reader.must_be("use_qk_norm", true));
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.count("rotary_dim", "rope.dimension_count", reader.config().head_dim));
  LATHE_TRY_STATUS(reader.read_experts());
  LATHE_TRY_STATUS(reader.count("intermediate_size", "expert_feed_forward_length", kMaxSize));
  return read_scoring(reader, "sigmoid");
}

// The base grows with the contexts that it was trained for last.
Status read_hunyuan(HfReader& reader) {
  LATHE_TRY(const JsonObject rope,
            reader.json().object(reader.one_of({"rope_parameters", "rope_scaling"})));
  LATHE_TRY(const std::string older, rope.text("type", "default"));
  LATHE_TRY(const std::string type, rope.text("rope_type", older));
  if (type == "dynamic") {
    LATHE_TRY(const double alpha, rope.real("alpha", 1000));
    LATHE_TRY(const double outer, reader.json().real("rope_theta", 10000));
    LATHE_TRY(const double base, rope.real("rope_theta", outer));
    LATHE_TRY(const auto embedding, reader.json().uint("hidden_size", 1, kMaxSize));
    LATHE_TRY(const auto heads, reader.json().uint("num_attention_heads", 1, 65536));
    LATHE_TRY(
        const auto head_dim,
        reader.json().uint("head_dim", 4, 65536, std::max<std::uint64_t>(4, embedding / heads)));
    const auto dim = static_cast<double>(head_dim);
    reader.replace("rope_theta", base * std::pow(alpha, dim / (dim - 2)));
    reader.replace("rope_scaling", nullptr);
    reader.replace("rope_parameters", nullptr);
    reader.replace("max_position_embeddings", 262144);
  }
  // Lists of one number a layer, which must all be the same.
  for (const char* key : {"moe_topk", "moe_intermediate_size", "num_shared_expert"}) {
    const SortedJson values = reader.json()[key];
    if (!values.is_array() || values.empty()) continue;
    for (const SortedJson& value : values)
      if (value != values[0])
        return invalid("{}: \"{}\" differs between layers", reader.json().place(), key);
    reader.replace(key, values[0]);
  }
  reader.replace("num_experts_per_tok", reader.json()["moe_topk"]);
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.read_experts());
  LATHE_TRY_STATUS(reader.must_be("use_qk_norm", true));
  LATHE_TRY_STATUS(
      reader.count("intermediate_size", "expert_shared_feed_forward_length", kMaxSize));
  LATHE_TRY_STATUS(reader.count("num_shared_expert", "expert_shared_count", 1024));
  return {};
}

Status read_ernie_moe(HfReader& reader) {
  LATHE_TRY_STATUS(reader.read_decoder());
  LATHE_TRY_STATUS(reader.must_be("moe_layer_interval", 1));
  LATHE_TRY(const auto dense,
            reader.json().uint("moe_layer_start_index", 0, reader.config().layers, 0));
  LATHE_TRY_STATUS(reader.read_experts(dense));
  LATHE_TRY(const auto width, reader.json().uint("moe_intermediate_size", 1, kMaxSize));
  LATHE_TRY(const auto shared, reader.json().uint("moe_num_shared_experts", 0, 1024, 0));
  if (shared != 0) {
    reader.add("expert_shared_count", shared);
    reader.add("expert_shared_feed_forward_length", shared * width);
  }
  return {};
}

}  // namespace lathe::infer
