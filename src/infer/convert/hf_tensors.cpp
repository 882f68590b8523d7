// Hugging Face's tensor names and shapes to GGUF's.
#include "infer/convert/hf_tensors.h"

#include <algorithm>
#include <set>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

struct NamePair {
  std::string_view hf, gguf;
};
// Inside "model.layers.N." and "blk.N.", without ".weight" and ".bias".
constexpr NamePair kBlockNames[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"}, {"post_attention_layernorm", "ffn_norm"},
};
constexpr NamePair kDenseNames[] = {
    {"mlp.gate_proj", "ffn_gate"}, {"mlp.up_proj", "ffn_up"}, {"mlp.down_proj", "ffn_down"}};
// The name of a router, then what stands before and behind the number of an expert.
struct ExpertNames {
  std::string_view router, before;
  NamePair parts[3];
};
constexpr ExpertNames kExpertNames[] = {
    {"mlp.gate",
     "mlp.experts.",
     {{"gate_proj", "ffn_gate_exps"}, {"up_proj", "ffn_up_exps"}, {"down_proj", "ffn_down_exps"}}},
    {"block_sparse_moe.gate",
     "block_sparse_moe.experts.",
     {{"w1", "ffn_gate_exps"}, {"w3", "ffn_up_exps"}, {"w2", "ffn_down_exps"}}},
};

class Mapper {
 public:
  Mapper(const SafeTensors& model, const HfConfig& config, std::optional<TensorType> type)
      : model_(model), config_(config), type_(type) {}

  Result<std::vector<TensorSource>> map() {
    LATHE_TRY_STATUS(add_one("model.embed_tokens.weight", "token_embd.weight"));
    const SafeTensor* embedding = sources_.back().parts.front();
    if (embedding->shape.size() != 2 || embedding->shape[0] != config_.vocabulary ||
        embedding->shape[1] != config_.embedding)
      return invalid("tensor '{}' has the shape {}; config.json says {} tokens of {}",
                     embedding->name, shape_text(*embedding), config_.vocabulary,
                     config_.embedding);
    for (std::size_t layer = 0; layer < config_.layers; ++layer) LATHE_TRY_STATUS(add_layer(layer));
    LATHE_TRY_STATUS(add_one("model.norm.weight", "output_norm.weight"));
    if (config_.tied)
      used_.insert("lm_head.weight");  // a copy of the embedding, where it is there at all
    else
      LATHE_TRY_STATUS(add_one("lm_head.weight", "output.weight"));
    for (const SafeTensor& tensor : model_.tensors()) {
      // Old checkpoints keep what is computed from the base.
      if (used_.contains(tensor.name) || tensor.name.ends_with("rotary_emb.inv_freq")) continue;
      return invalid("tensor '{}' has no place in a {} model", shown(tensor.name),
                     config_.architecture);
    }
    return std::move(sources_);
  }

 private:
  static std::string shape_text(const SafeTensor& tensor) {
    return fmt::format("[{}]", fmt::join(tensor.shape, ", "));
  }

  Status add_layer(std::size_t layer) {
    const std::string from = fmt::format("model.layers.{}.", layer);
    const std::string to = fmt::format("blk.{}.", layer);
    LATHE_TRY_STATUS(add_pairs(from, to, kBlockNames));
    if (config_.experts == 0) return add_pairs(from, to, kDenseNames);
    const bool mixtral = model_.find(from + "block_sparse_moe.gate.weight") != nullptr;
    const ExpertNames& names = kExpertNames[mixtral ? 1 : 0];
    LATHE_TRY_STATUS(
        add_one(fmt::format("{}{}.weight", from, names.router), to + "ffn_gate_inp.weight"));
    for (const NamePair& part : names.parts) {
      std::vector<std::string> experts;
      for (std::size_t e = 0; e < config_.experts; ++e)
        experts.push_back(fmt::format("{}{}{}.{}.weight", from, names.before, e, part.hf));
      LATHE_TRY_STATUS(add(experts, fmt::format("{}{}.weight", to, part.gguf)));
    }
    return {};
  }

  Status add_pairs(const std::string& from, const std::string& to,
                   std::span<const NamePair> names) {
    for (const NamePair& name : names) {
      // Norms of q and k are Qwen3's alone.
      const bool optional = name.gguf == "attn_q_norm" || name.gguf == "attn_k_norm";
      const std::string weight = fmt::format("{}{}.weight", from, name.hf);
      if (optional && model_.find(weight) == nullptr) continue;
      LATHE_TRY_STATUS(add_one(weight, fmt::format("{}{}.weight", to, name.gguf)));
      const std::string bias = fmt::format("{}{}.bias", from, name.hf);
      // Biases of the feed-forward part have no place.
      if (model_.find(bias) && name.gguf.starts_with("attn_"))
        LATHE_TRY_STATUS(add_one(bias, fmt::format("{}{}.bias", to, name.gguf)));
    }
    return {};
  }

  Status add_one(const std::string& from, std::string to) {
    return add(std::span(&from, 1), std::move(to));
  }

  Status add(std::span<const std::string> from, std::string to) {
    TensorSource source;
    source.name = std::move(to);
    for (const std::string& name : from) {
      const SafeTensor* part = model_.find(name);
      if (!part) return invalid("tensor '{}' is missing", name);
      if (!source.parts.empty() &&
          (part->shape != source.parts[0]->shape || part->dtype != source.parts[0]->dtype))
        return invalid("tensor '{}' is {} {}, but '{}' is {} {}", name, part->dtype,
                       shape_text(*part), from[0], source.parts[0]->dtype,
                       shape_text(*source.parts[0]));
      used_.insert(name);
      source.parts.push_back(part);
    }
    const SafeTensor& first = *source.parts[0];
    const TensorTypeInfo* dtype = hf_dtype(first.dtype);
    if (!dtype)
      return invalid("tensor '{}' is {}; Lathe imports F32, F16 and BF16", first.name, first.dtype);
    if (first.shape.empty() || first.shape.size() > 2 || first.bytes == 0)
      return invalid("tensor '{}' has the shape {}; vectors and matrices are possible", first.name,
                     shape_text(first));
    source.shape.assign(first.shape.rbegin(), first.shape.rend());
    if (source.name.find("_exps.") != std::string::npos)
      source.shape.push_back(source.parts.size());
    // Vectors and routers are small and exact.
    const bool exact = first.shape.size() == 1 || source.name.ends_with("ffn_gate_inp.weight");
    source.type = exact ? TensorType::kF32 : type_.value_or(dtype->type);
    if (config_.rotates_pairs) LATHE_TRY_STATUS(set_pairs(source, first));
    sources_.push_back(std::move(source));
    return {};
  }

  Status set_pairs(TensorSource& source, const SafeTensor& first) const {
    const bool q = source.name.find(".attn_q.") != std::string::npos;
    const bool k = source.name.find(".attn_k.") != std::string::npos;
    if (!q && !k) return {};
    const std::size_t rows = (q ? config_.heads : config_.kv_heads) * config_.head_dim;
    if (first.shape[0] != rows)
      return invalid("tensor '{}' has the shape {}; {} heads of {} need {} rows", first.name,
                     shape_text(first), q ? config_.heads : config_.kv_heads, config_.head_dim,
                     rows);
    source.head_rows = config_.head_dim;
    return {};
  }

  const SafeTensors& model_;
  const HfConfig& config_;
  std::optional<TensorType> type_;
  std::vector<TensorSource> sources_;
  std::set<std::string, std::less<>> used_;
};

}  // namespace

const TensorTypeInfo* hf_dtype(std::string_view dtype) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16})
    if (tensor_type_info(type).name == dtype) return &tensor_type_info(type);
  return nullptr;
}

Result<std::vector<TensorSource>> map_hf_tensors(const SafeTensors& model, const HfConfig& config,
                                                 std::optional<TensorType> type) {
  return Mapper(model, config, type).map();
}

}  // namespace lathe::infer
