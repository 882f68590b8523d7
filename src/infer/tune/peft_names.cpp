// Names and orders of PEFT.
#include "infer/tune/peft_names.h"

#include <algorithm>

namespace lathe::infer {
namespace {

struct Feed {
  std::string_view gate, up, down;
};
constexpr Feed kDense{"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};
constexpr Feed kLfm{"feed_forward.w1", "feed_forward.w3", "feed_forward.w2"};
constexpr Feed kExperts{"mlp.experts.{}.gate_proj", "mlp.experts.{}.up_proj",
                        "mlp.experts.{}.down_proj"};
constexpr Feed kMixtral{"block_sparse_moe.experts.{}.w1", "block_sparse_moe.experts.{}.w3",
                        "block_sparse_moe.experts.{}.w2"};
constexpr Feed kSharedExpert{"mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj",
                             "mlp.shared_expert.down_proj"};
constexpr Feed kSharedExperts{"mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj",
                              "mlp.shared_experts.down_proj"};
constexpr Feed kSharedMlp{"mlp.shared_mlp.gate_proj", "mlp.shared_mlp.up_proj",
                          "mlp.shared_mlp.down_proj"};

// Those with experts; one that is not there has none that are modules.
struct Mixture {
  std::string_view architecture;
  Feed experts, shared;
};
constexpr Mixture kMixtures[] = {{"llama", kMixtral, {}},
                                 {"minimax-m2", kMixtral, {}},
                                 {"qwen2moe", kExperts, kSharedExpert},
                                 {"qwen3moe", kExperts, {}},
                                 {"qwen3next", kExperts, kSharedExpert},
                                 {"qwen35moe", {}, kSharedExpert},
                                 {"glm4moe", kExperts, kSharedExperts},
                                 {"ernie4_5-moe", kExperts, kSharedExperts},
                                 {"hunyuan-moe", kExperts, kSharedMlp}};

// Whose converters bring the two numbers that turn together side by side.
constexpr std::string_view kPairs[] = {"llama",   "mistral3",   "smollm3",
                                       "granite", "granitemoe", "granitehybrid"};

Mixture mixture_of(const Blueprint& blueprint) {
  const auto* found = std::ranges::find(kMixtures, std::string_view(blueprint.architecture),
                                        &Mixture::architecture);
  return found == std::end(kMixtures) ? Mixture{} : *found;
}

std::string_view of_feed(const Feed& feed, Slot slot) {
  if (slot == Slot::kGate || slot == Slot::kSharedGate) return feed.gate;
  return slot == Slot::kUp || slot == Slot::kSharedUp ? feed.up : feed.down;
}

// Place of a value head's number, of those that stand key head by key head in turn.
std::size_t by_key_head(const DeltaNetSpec& net, std::size_t at) {
  const std::size_t head = at / net.size, key = net.key_head(head);
  return (key * net.shared() + head / net.key_heads) * net.size + at % net.size;
}

}  // namespace

std::string_view peft_module(const Blueprint& blueprint, const TensorSpec& spec) {
  const LayerSpec& layer = blueprint.layers[spec.layer];
  const std::string_view name = blueprint.architecture;
  if (name.starts_with("nemotron_h")) return "";  // its layers have another name
  const bool mixed = name == "qwen3next";         // …_qkvz, head by head
  const bool lfm = name.starts_with("lfm2");
  switch (spec.slot) {
    case Slot::kQ:
      return spec.is_part() ? "self_attn.qkv_proj" : "self_attn.q_proj";
    case Slot::kK:
      return "self_attn.k_proj";
    case Slot::kV:
      return "self_attn.v_proj";
    case Slot::kAttentionOutput:
      return lfm ? "self_attn.out_proj" : "self_attn.o_proj";
    case Slot::kMixed:
      return mixed ? "" : "linear_attn.in_proj_qkv";
    case Slot::kMixedGate:
      return mixed ? "" : "linear_attn.in_proj_z";
    case Slot::kStateInput:
      return "mamba.in_proj";
    case Slot::kStateOutput:
      return std::holds_alternative<Mamba2Spec>(layer.mixer) ? "mamba.out_proj"
                                                             : "linear_attn.out_proj";
    case Slot::kShortInput:
      return "conv.in_proj";
    case Slot::kShortOutput:
      return "conv.out_proj";
    case Slot::kGate:
    case Slot::kUp:
    case Slot::kDown:
      if (layer.ffn.experts != 0) return of_feed(mixture_of(blueprint).experts, spec.slot);
      if (name == "granitehybrid") return "";
      return spec.is_part() ? "mlp.gate_up_proj" : of_feed(lfm ? kLfm : kDense, spec.slot);
    case Slot::kSharedGate:
    case Slot::kSharedUp:
    case Slot::kSharedDown:
      return of_feed(mixture_of(blueprint).shared, spec.slot);
    default:
      return "";
  }
}

std::size_t peft_row(const Blueprint& blueprint, const TensorSpec& spec, std::size_t row) {
  const LayerSpec& layer = blueprint.layers[spec.layer];
  if (const auto* net = std::get_if<DeltaNetSpec>(&layer.mixer);
      net != nullptr && net->interleaved) {
    const std::size_t before = spec.slot == Slot::kMixed ? 2 * net->key_heads * net->size : 0;
    const bool values = spec.slot == Slot::kMixedGate || spec.slot == Slot::kMixed;
    return values && row >= before ? before + by_key_head(*net, row - before) : row;
  }
  if (spec.slot != Slot::kQ && spec.slot != Slot::kK) return row;
  if (std::ranges::find(kPairs, std::string_view(blueprint.architecture)) == std::end(kPairs))
    return row;
  const std::size_t dim = layer.attention()->head_dim, in_head = row % dim;
  return row - in_head + in_head % 2 * (dim / 2) + in_head / 2;
}

std::size_t peft_column(const Blueprint& blueprint, const TensorSpec& spec, std::size_t column) {
  const auto* net = std::get_if<DeltaNetSpec>(&blueprint.layers[spec.layer].mixer);
  const bool values = net != nullptr && net->interleaved && spec.slot == Slot::kStateOutput;
  return values ? by_key_head(*net, column) : column;
}

}  // namespace lathe::infer
