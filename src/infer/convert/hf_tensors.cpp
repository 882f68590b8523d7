// Hugging Face's tensor names and shapes to GGUF's.
#include "infer/convert/hf_tensors.h"

#include <algorithm>
#include <set>

#include "ground/base/text.h"
#include "infer/models/hf_names.h"

namespace lathe::infer {
namespace {

class Mapper {
 public:
  Mapper(const SafeTensors& model, const HfConfig& config, std::optional<TensorType> type)
      : model_(model), config_(config), type_(type) {}

  Result<std::vector<TensorSource>> map() {
    LATHE_TRY_STATUS(add_one("model.embed_tokens.weight", Slot::kEmbedding));
    const SafeTensor* embedding = sources_.back().parts.front();
    if (embedding->shape.size() != 2 || embedding->shape[0] != config_.vocabulary ||
        embedding->shape[1] != config_.embedding)
      return invalid("tensor '{}' has the shape {}; config.json says {} tokens of {}",
                     embedding->name, shape_text(*embedding), config_.vocabulary,
                     config_.embedding);
    for (std::size_t layer = 0; layer < config_.layers; ++layer) LATHE_TRY_STATUS(add_layer(layer));
    LATHE_TRY_STATUS(add_one("model.norm.weight", Slot::kOutputNorm));
    if (config_.tied)
      used_.insert("lm_head.weight");  // a copy of the embedding, where it is there at all
    else
      LATHE_TRY_STATUS(add_one("lm_head.weight", Slot::kOutput));
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
    const bool mixtral = model_.find(from + "block_sparse_moe.gate.weight") != nullptr;
    for (const HfName& name : hf_names()) {
      if (config_.experts == 0 || name.expert.empty())
        LATHE_TRY_STATUS(add_pair(from, name, layer));
      else
        LATHE_TRY_STATUS(add_experts(from + std::string(mixtral ? name.mixtral : name.expert),
                                     name.slot, layer));
    }
    return {};
  }

  // A weight, and its bias if there is a place for one.
  Status add_pair(const std::string& from, const HfName& name, std::size_t layer) {
    if (name.dense.empty()) return {};
    const std::string weight = fmt::format("{}{}.weight", from, name.dense);
    // Norms of q and k are Qwen3's alone.
    const bool optional = name.slot == Slot::kQNorm || name.slot == Slot::kKNorm;
    if (optional && model_.find(weight) == nullptr) return {};
    LATHE_TRY_STATUS(add_one(weight, name.slot, layer));
    const std::string bias = fmt::format("{}{}.bias", from, name.dense);
    for (const SlotInfo& info : slot_infos())
      if (info.any && info.bias_of == name.slot && model_.find(bias) != nullptr)
        LATHE_TRY_STATUS(add_one(bias, info.slot, layer));
    return {};
  }

  // `pattern` names one expert's as "{}"; a router has no such place and is one for all.
  Status add_experts(const std::string& pattern, Slot slot, std::size_t layer) {
    if (slot == Slot::kRouter) return add_one(pattern + ".weight", slot, layer);
    std::vector<std::string> experts;
    for (std::size_t e = 0; e < config_.experts; ++e)
      experts.push_back(fmt::format(fmt::runtime(pattern), e) + ".weight");
    return add(experts, slot, layer, true);
  }

  Status add_one(const std::string& from, Slot slot, std::size_t layer = 0) {
    return add(std::span(&from, 1), slot, layer, false);
  }

  Status add(std::span<const std::string> from, Slot slot, std::size_t layer, bool mixture) {
    TensorSource source;
    source.name = tensor_name(slot, layer, mixture);
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
    if (mixture) source.shape.push_back(source.parts.size());
    source.type = slot_info(slot).exact ? TensorType::kF32 : type_.value_or(dtype->type);
    if (config_.rotates_pairs) LATHE_TRY_STATUS(set_pairs(source, slot, first));
    sources_.push_back(std::move(source));
    return {};
  }

  Status set_pairs(TensorSource& source, Slot slot, const SafeTensor& first) const {
    const bool q = slot == Slot::kQ || slot == Slot::kQBias;
    if (!q && slot != Slot::kK && slot != Slot::kKBias) return {};
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
