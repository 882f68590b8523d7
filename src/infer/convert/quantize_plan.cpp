// Which tensor takes which type.
#include <algorithm>
#include <charconv>

#include "ground/base/text.h"
#include "infer/convert/quantize.h"
#include "infer/models/tensors.h"

namespace lathe::infer {
namespace {

constexpr QuantizeTarget kTargets[] = {
    {"F16", TensorType::kF16, 1, false},         {"BF16", TensorType::kBF16, 32, false},
    {"Q8_0", TensorType::kQ8_0, 7, false},       {"Q6_K", TensorType::kQ6_K, 18, false},
    {"Q5_K", TensorType::kQ5_K, 16, false},      {"Q5_K_M", TensorType::kQ5_K, 17, true},
    {"Q5_0", TensorType::kQ5_0, 8, false},       {"Q5_1", TensorType::kQ5_1, 9, false},
    {"Q4_K", TensorType::kQ4_K, 14, false},      {"Q4_K_M", TensorType::kQ4_K, 15, true},
    {"Q4_0", TensorType::kQ4_0, 2, false},       {"Q4_1", TensorType::kQ4_1, 3, false},
    {"IQ4_NL", TensorType::kIQ4_NL, 25, false},  {"IQ4_XS", TensorType::kIQ4_XS, 30, false},
    {"MXFP4", TensorType::kMXFP4, 38, false},    {"NVFP4", TensorType::kNVFP4, 39, false},
    {"Q3_K", TensorType::kQ3_K, 11, false},      {"Q2_K", TensorType::kQ2_K, 10, false},
    {"IQ3_S", TensorType::kIQ3_S, 26, true},     {"IQ3_XXS", TensorType::kIQ3_XXS, 23, true},
    {"IQ2_S", TensorType::kIQ2_S, 29, true},     {"IQ2_XS", TensorType::kIQ2_XS, 20, true},
    {"IQ2_XXS", TensorType::kIQ2_XXS, 19, true}, {"IQ1_M", TensorType::kIQ1_M, 31, true},
    {"IQ1_S", TensorType::kIQ1_S, 24, true},     {"TQ2_0", TensorType::kTQ2_0, 37, true},
    {"TQ1_0", TensorType::kTQ1_0, 36, true},     {"Q2_0", TensorType::kQ2_0, 41, true},
    {"Q1_0", TensorType::kQ1_0, 40, false},
};

// What mixes depend on; sizes are 0 where the file does not say.
struct Sizes {
  std::size_t layers = 0, experts = 0, heads = 0, kv_heads = 0;
  bool tied = false, importance = false;

  bool shares_values() const {  // few value heads: their matrix is small, its errors count often
    return (kv_heads > 0 && heads / kv_heads >= 4) || experts >= 4;
  }
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
                                        "token_types",  "cls.",       "dense_"};
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

// Types of two bits and less take better ones for embeddings, values, the first layers and what
// attention gives.
TensorType two_bit_mix(const BlockName& name, const Sizes& sizes, TensorType type) {
  const bool one_bit = type == TensorType::kIQ1_S || type == TensorType::kIQ1_M;
  const TensorType better = type == TensorType::kIQ2_S ? TensorType::kIQ3_S : TensorType::kQ2_K;
  if (name.part.empty()) return better;  // token_embd
  if (is(name, Slot::kV)) return sizes.shares_values() ? TensorType::kQ4_K : better;
  if (is(name, Slot::kK) && sizes.experts == 8) return TensorType::kQ4_K;
  if (is_a(name, Slot::kDown) && name.layer < sizes.layers / 8) return better;
  if (is(name, Slot::kAttentionOutput)) {
    if (sizes.experts == 8) return TensorType::kQ5_K;
    if (one_bit) return TensorType::kIQ2_XXS;
    if (type == TensorType::kIQ2_S) return better;
  }
  return type;
}

TensorType iq3_xxs_mix(const BlockName& name, const Sizes& sizes) {
  if (name.part.empty()) return TensorType::kIQ3_S;
  if (is(name, Slot::kV))
    return sizes.shares_values() ? TensorType::kQ4_K
           : sizes.importance    ? TensorType::kIQ3_XXS
                                 : TensorType::kIQ3_S;
  if (is(name, Slot::kK) || is(name, Slot::kQ)) return TensorType::kIQ2_S;
  if (is_a(name, Slot::kDown) && !sizes.importance)
    return name.layer < sizes.layers / 8 ? TensorType::kQ4_K : TensorType::kQ3_K;
  if (is(name, Slot::kAttentionOutput))
    return sizes.experts == 8 ? TensorType::kQ5_K : TensorType::kIQ3_S;
  return TensorType::kIQ3_XXS;
}

TensorType iq3_s_mix(const BlockName& name, const Sizes& sizes) {
  if (sizes.experts == 8) {
    if (is(name, Slot::kV) || is(name, Slot::kK)) return TensorType::kQ8_0;
    if (is(name, Slot::kAttentionOutput)) return TensorType::kQ5_K;
  }
  return is(name, Slot::kV) && sizes.shares_values() ? TensorType::kQ4_K : TensorType::kIQ3_S;
}

// The type of a tensor that is not the output, in the mix that `type` is the name of.
TensorType mixed(const BlockName& name, const Sizes& sizes, TensorType type) {
  switch (type) {
    case TensorType::kIQ1_S:
    case TensorType::kIQ1_M:
    case TensorType::kIQ2_XXS:
    case TensorType::kIQ2_XS:
    case TensorType::kIQ2_S:
      return two_bit_mix(name, sizes, type);
    case TensorType::kIQ3_XXS:
      return iq3_xxs_mix(name, sizes);
    case TensorType::kIQ3_S:
      return iq3_s_mix(name, sizes);
    case TensorType::kTQ1_0:
    case TensorType::kTQ2_0:
    case TensorType::kQ2_0:
      return name.part.empty() ? TensorType::kQ4_K : type;
    default:
      return mixed_type(name, sizes, type);
  }
}

TensorType output_type(TensorType target) {
  const bool low = needs_importance(target);
  return low ? TensorType::kQ5_K : TensorType::kQ6_K;
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
      if (output) return output_type(target.type);
      return target.mix ? mixed(parse_block_name(tensor.name), sizes, target.type) : target.type;
  }
}

// The type to take where rows are no whole number of blocks.
TensorType larger_type(TensorType type) {
  switch (type) {
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kTQ1_0:
    case TensorType::kTQ2_0:
    case TensorType::kQ1_0:
    case TensorType::kQ2_0:
      return TensorType::kQ4_0;
    case TensorType::kIQ1_S:
    case TensorType::kIQ1_M:
    case TensorType::kIQ2_XXS:
    case TensorType::kIQ2_XS:
    case TensorType::kIQ2_S:
    case TensorType::kIQ3_XXS:
    case TensorType::kIQ3_S:
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

bool needs_importance(TensorType type) {
  switch (type) {
    case TensorType::kIQ1_S:
    case TensorType::kIQ1_M:
    case TensorType::kIQ2_XXS:
    case TensorType::kIQ2_XS:
    case TensorType::kIQ2_S:
    case TensorType::kIQ3_XXS:
      return true;
    default:
      return false;
  }
}

Result<TypeRule> parse_type_rule(std::string_view text) {
  const std::size_t sign = text.rfind('=');
  if (sign == std::string_view::npos || sign == 0)
    return invalid("'{}' is no rule for types; write REGEX=TYPE, such as ffn_down=Q6_K", text);
  const std::string_view name = text.substr(sign + 1);
  const TensorTypeInfo* type = find_tensor_type(name);
  if (type == nullptr) {
    std::vector<std::string> names;
    for (const TensorTypeInfo& info : tensor_types()) names.emplace_back(info.name);
    return invalid("'{}' names no element type with '{}'; there are {}", text, name,
                   join(names, ", "));
  }
  LATHE_TRY(Regex pattern,
            Regex::compile(to_lower_ascii(text.substr(0, sign)), Regex::Flavour::kText));
  return TypeRule{std::string(text), std::move(pattern), type->type};
}

Result<std::vector<TensorType>> plan_types(const Gguf& model, const QuantizeTarget& target,
                                           std::span<const TypeRule> rules, bool importance) {
  Sizes sizes = read_sizes(model);
  sizes.importance = importance;
  const auto ruled = [&](const GgufTensor& tensor) -> Result<std::optional<TensorType>> {
    for (const TypeRule& rule : rules) {
      LATHE_TRY(const std::optional<Match> match, rule.pattern.find(tensor.name));
      if (match) return rule.type;
    }
    return std::nullopt;
  };
  std::vector<TensorType> types;
  for (const GgufTensor& tensor : model.tensors()) {
    TensorType type = tensor.type;
    if (!stays(tensor)) {
      LATHE_TRY(const std::optional<TensorType> rule, ruled(tensor));
      type = rule ? *rule : wanted_type(tensor, sizes, target);
    }
    while (tensor.shape[0] % tensor_type_info(type).block != 0) type = larger_type(type);
    types.push_back(type);
  }
  return types;
}

}  // namespace lathe::infer
