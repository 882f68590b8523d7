// Which tensor takes which type.
#include <algorithm>
#include <charconv>

#include "ground/base/text.h"
#include "infer/convert/quantize.h"
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

constexpr QuantizeTarget kTargets[] = {
    {"F16", TensorType::kF16, 1, false},        {"BF16", TensorType::kBF16, 32, false},
    {"Q8_0", TensorType::kQ8_0, 7, false},      {"Q6_K", TensorType::kQ6_K, 18, false},
    {"Q5_K", TensorType::kQ5_K, 16, false},     {"Q5_K_M", TensorType::kQ5_K, 17, true},
    {"Q5_0", TensorType::kQ5_0, 8, false},      {"Q5_1", TensorType::kQ5_1, 9, false},
    {"Q4_K", TensorType::kQ4_K, 14, false},     {"Q4_K_M", TensorType::kQ4_K, 15, true},
    {"Q4_0", TensorType::kQ4_0, 2, false},      {"Q4_1", TensorType::kQ4_1, 3, false},
    {"IQ4_NL", TensorType::kIQ4_NL, 25, false}, {"IQ4_XS", TensorType::kIQ4_XS, 30, false},
    {"MXFP4", TensorType::kMXFP4, 38, false},   {"NVFP4", TensorType::kNVFP4, 39, false},
    {"Q3_K", TensorType::kQ3_K, 11, false},     {"Q2_K", TensorType::kQ2_K, 10, false},
};

// The sizes that mixes depend on; 0 where the file does not say.
struct Sizes {
  std::size_t layers = 0, experts = 0, heads = 0, kv_heads = 0;
  bool tied = false;
};

std::size_t first_of(const Gguf& model, std::string_view architecture, std::string_view key) {
  const std::string name = fmt::format("{}.{}", architecture, key);
  if (const auto scalar = model.uint(name, 0, 1 << 24)) return static_cast<std::size_t>(*scalar);
  const auto list = model.ints(name);
  return list && !list->empty() && list->front() > 0 ? static_cast<std::size_t>(list->front()) : 0;
}

Sizes read_sizes(const Gguf& model) {
  const std::string architecture = model.text_or("general.architecture", "").value_or("");
  Sizes sizes;
  sizes.layers = first_of(model, architecture, "block_count");
  sizes.experts = first_of(model, architecture, "expert_count");
  sizes.heads = first_of(model, architecture, "attention.head_count");
  sizes.kv_heads = first_of(model, architecture, "attention.head_count_kv");
  sizes.tied = model.find_tensor(tensor_name(Slot::kOutput)) == nullptr;
  return sizes;
}

// "blk.12.ffn_down.weight": layer 12, part "ffn_down.weight".
struct BlockName {
  std::size_t layer = 0;
  std::string_view part;
};

BlockName parse_block_name(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  BlockName block;
  if (!name.starts_with(kPrefix)) return block;
  name.remove_prefix(kPrefix.size());
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block.layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return {};
  block.part = name.substr(static_cast<std::size_t>(end - name.data()) + 1);
  return block;
}

// Whether a tensor of a layer is this one; "_exps" and the like may stand behind it.
bool is_a(const BlockName& name, Slot slot) {
  return name.part.starts_with(slot_info(slot).part);
}
bool is(const BlockName& name, Slot slot) {
  return name.part == fmt::format("{}.{}", slot_info(slot).part, slot_info(slot).ending);
}

bool stays(const GgufTensor& tensor) {
  if (tensor.dimensions < 2 || !tensor.name.ends_with(".weight")) return true;
  if (is_a(parse_block_name(tensor.name), Slot::kRouter)) return true;
  // Of any model, also of those that only other programs run.
  constexpr std::string_view kKept[] = {"_norm.weight", "ssm_conv1d", "position_embd",
                                        "token_types"};
  return std::ranges::any_of(
      kKept, [&](std::string_view part) { return tensor.name.find(part) != std::string::npos; });
}

// The first and the last eighth of the layers, and every third between them.
bool is_sensitive(std::size_t layer, std::size_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

TensorType mixed_type(const BlockName& name, const Sizes& sizes, TensorType type) {
  const bool value = is(name, Slot::kV), down = is_a(name, Slot::kDown);
  if (sizes.experts == 8) {  // attention is a small part of such a model
    if (value || is(name, Slot::kK)) return TensorType::kQ8_0;
    if (is(name, Slot::kAttentionOutput)) return TensorType::kQ5_K;
  }
  if ((value || down) && is_sensitive(name.layer, sizes.layers)) return TensorType::kQ6_K;
  // Eight heads share one value head: it is small, and its errors count eight times.
  if (value && sizes.kv_heads > 0 && sizes.heads / sizes.kv_heads >= 8) return TensorType::kQ5_K;
  if (name.part == "attn_qkv.weight")
    return type == TensorType::kQ4_K ? TensorType::kQ5_K : TensorType::kQ6_K;
  return type;
}

TensorType wanted_type(const GgufTensor& tensor, const Sizes& sizes, const QuantizeTarget& target) {
  const bool output = tensor.name == tensor_name(sizes.tied ? Slot::kEmbedding : Slot::kOutput);
  switch (target.type) {
    case TensorType::kF16:
    case TensorType::kBF16:
    case TensorType::kQ8_0:
      return target.type;
    case TensorType::kMXFP4:
      // Made for experts, and for the blocks of a model that has none.
      if (sizes.experts > 0 ? tensor.dimensions == 3 : tensor.name.starts_with("blk."))
        return target.type;
      return TensorType::kQ8_0;
    default:
      if (output) return TensorType::kQ6_K;
      return target.mix ? mixed_type(parse_block_name(tensor.name), sizes, target.type)
                        : target.type;
  }
}

// The type to take where rows are no whole number of blocks.
TensorType larger_type(TensorType type) {
  switch (type) {
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
      return TensorType::kQ4_0;
    case TensorType::kIQ4_XS:
    case TensorType::kNVFP4:
      return TensorType::kIQ4_NL;
    case TensorType::kQ4_K:
      return TensorType::kQ5_0;
    case TensorType::kQ5_K:
      return TensorType::kQ5_1;
    case TensorType::kQ6_K:
      return TensorType::kQ8_0;
    default:
      return TensorType::kF16;
  }
}

}  // namespace

std::span<const QuantizeTarget> quantize_targets() {
  return kTargets;
}

Result<const QuantizeTarget*> find_quantize_target(std::string_view name) {
  std::vector<std::string> names;
  for (const QuantizeTarget& target : kTargets) {
    if (to_lower_ascii(target.name) == to_lower_ascii(name)) return &target;
    names.emplace_back(target.name);
  }
  return invalid("'{}' is no type to quantize to; there are {}", name, join(names, ", "));
}

std::vector<TensorType> plan_types(const Gguf& model, const QuantizeTarget& target) {
  const Sizes sizes = read_sizes(model);
  std::vector<TensorType> types;
  for (const GgufTensor& tensor : model.tensors()) {
    TensorType type = stays(tensor) ? tensor.type : wanted_type(tensor, sizes, target);
    while (tensor.shape[0] % tensor_type_info(type).block != 0) type = larger_type(type);
    types.push_back(type);
  }
  return types;
}

}  // namespace lathe::infer
