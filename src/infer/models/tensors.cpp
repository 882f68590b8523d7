// The table of tensors, and their places in a file.
#include "infer/models/tensors.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr SlotInfo kSlotInfo[] = {
    {.slot = Slot::kEmbedding, .part = "token_embd", .ending = "weight", .in_layer = false},
    {.slot = Slot::kAttentionNorm, .part = "attn_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kQ, .part = "attn_q", .ending = "weight", .adapts = true},
    {.slot = Slot::kQBias,
     .part = "attn_q",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kQ,
     .any = true},
    {.slot = Slot::kK, .part = "attn_k", .ending = "weight", .adapts = true},
    {.slot = Slot::kKBias,
     .part = "attn_k",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kK,
     .any = true},
    {.slot = Slot::kV, .part = "attn_v", .ending = "weight", .adapts = true},
    {.slot = Slot::kVBias,
     .part = "attn_v",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kV,
     .any = true},
    {.slot = Slot::kAttentionOutput, .part = "attn_output", .ending = "weight", .adapts = true},
    {.slot = Slot::kAttentionOutputBias,
     .part = "attn_output",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kAttentionOutput,
     .any = true},
    {.slot = Slot::kQNorm, .part = "attn_q_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kKNorm, .part = "attn_k_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kSinks, .part = "attn_sinks", .ending = "weight", .exact = true},
    {.slot = Slot::kMixed, .part = "attn_qkv", .ending = "weight"},
    {.slot = Slot::kMixedGate, .part = "attn_gate", .ending = "weight"},
    {.slot = Slot::kStateInput, .part = "ssm_in", .ending = "weight"},
    {.slot = Slot::kConvolution, .part = "ssm_conv1d", .ending = "weight", .exact = true},
    {.slot = Slot::kConvolutionBias, .part = "ssm_conv1d", .ending = "bias", .exact = true},
    {.slot = Slot::kBetaDecay, .part = "ssm_ba", .ending = "weight"},
    {.slot = Slot::kBeta, .part = "ssm_beta", .ending = "weight"},
    {.slot = Slot::kDecay, .part = "ssm_alpha", .ending = "weight"},
    {.slot = Slot::kDecayBias, .part = "ssm_dt", .ending = "bias", .exact = true},
    {.slot = Slot::kDecayRate, .part = "ssm_a", .ending = "", .exact = true},
    {.slot = Slot::kSkip, .part = "ssm_d", .ending = "", .exact = true},
    {.slot = Slot::kStateNorm, .part = "ssm_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kStateOutput, .part = "ssm_out", .ending = "weight"},
    {.slot = Slot::kShortInput, .part = "shortconv.in_proj", .ending = "weight"},
    {.slot = Slot::kShortConvolution, .part = "shortconv.conv", .ending = "weight", .exact = true},
    {.slot = Slot::kShortOutput, .part = "shortconv.out_proj", .ending = "weight"},
    {.slot = Slot::kPostAttentionNorm,
     .part = "post_attention_norm",
     .ending = "weight",
     .exact = true},
    {.slot = Slot::kFfnNorm, .part = "ffn_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kRouter, .part = "ffn_gate_inp", .ending = "weight", .exact = true},
    {.slot = Slot::kRouterBias,
     .part = "ffn_gate_inp",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kRouter},
    {.slot = Slot::kScoreBias, .part = "exp_probs_b", .ending = "bias", .exact = true},
    {.slot = Slot::kGate, .part = "ffn_gate", .ending = "weight", .adapts = true},
    {.slot = Slot::kGateBias,
     .part = "ffn_gate",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kGate},
    {.slot = Slot::kUp, .part = "ffn_up", .ending = "weight", .adapts = true},
    {.slot = Slot::kUpBias,
     .part = "ffn_up",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kUp},
    {.slot = Slot::kDown, .part = "ffn_down", .ending = "weight", .adapts = true},
    {.slot = Slot::kDownBias,
     .part = "ffn_down",
     .ending = "bias",
     .exact = true,
     .bias_of = Slot::kDown},
    {.slot = Slot::kPostFfnNorm, .part = "post_ffw_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kSharedRouter, .part = "ffn_gate_inp_shexp", .ending = "weight", .exact = true},
    {.slot = Slot::kSharedGate, .part = "ffn_gate_shexp", .ending = "weight"},
    {.slot = Slot::kSharedUp, .part = "ffn_up_shexp", .ending = "weight"},
    {.slot = Slot::kSharedDown, .part = "ffn_down_shexp", .ending = "weight"},
    {.slot = Slot::kEmbeddingNorm,
     .part = "token_embd_norm",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kOutputNorm,
     .part = "output_norm",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kOutput, .part = "output", .ending = "weight", .in_layer = false},
    {.slot = Slot::kRopeFactors,
     .part = "rope_freqs",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
};
static_assert(std::size(kSlotInfo) == kSlots);
static_assert([] {
  for (std::size_t i = 0; i < kSlots; ++i)
    if (static_cast<std::size_t>(kSlotInfo[i].slot) != i) return false;
  return true;
}());

// The tensors of one layer, or of none.
class List {
 public:
  explicit List(std::size_t layer = 0) : layer_(layer) {}
  void vector(Slot slot, std::size_t size, std::size_t rows = 1, bool mixture = false) {
    all_.push_back({.slot = slot,
                    .layer = layer_,
                    .name = tensor_name(slot, layer_, mixture),
                    .rows = rows,
                    .k = size,
                    .vector = true});
  }
  // experts 0: a matrix of its own.
  void matrix(Slot slot, std::size_t rows, std::size_t k, std::size_t experts = 0) {
    all_.push_back({.slot = slot,
                    .layer = layer_,
                    .name = tensor_name(slot, layer_, experts != 0),
                    .rows = rows,
                    .k = k,
                    .experts = std::max<std::size_t>(1, experts)});
  }
  // Rows of the tensor that another slot is named after.
  void part(Slot slot, Slot whole, std::size_t first_row, std::size_t rows, std::size_t file_rows,
            std::size_t k) {
    matrix(slot, rows, k);
    all_.back().name = tensor_name(whole, layer_);
    all_.back().file_rows = file_rows;
    all_.back().first_row = first_row;
  }
  std::vector<TensorSpec> take() { return std::move(all_); }

 private:
  std::size_t layer_;
  std::vector<TensorSpec> all_;
};

void add_mixer(List& list, std::size_t width, const AttentionSpec& spec) {
  const std::size_t q = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim;
  list.matrix(Slot::kQ, spec.output_gate ? 2 * q : q, width);
  if (spec.qkv_bias) list.vector(Slot::kQBias, q);
  list.matrix(Slot::kK, kv, width);
  if (spec.qkv_bias) list.vector(Slot::kKBias, kv);
  list.matrix(Slot::kV, kv, width);
  if (spec.qkv_bias) list.vector(Slot::kVBias, kv);
  list.matrix(Slot::kAttentionOutput, width, q);
  if (spec.output_bias) list.vector(Slot::kAttentionOutputBias, width);
  if (spec.qk_norm != QkNorm::kNone) {
    const bool whole = spec.qk_norm == QkNorm::kWhole;
    list.vector(Slot::kQNorm, whole ? q : spec.head_dim);
    list.vector(Slot::kKNorm, whole ? kv : spec.head_dim);
  }
  if (spec.sinks) list.vector(Slot::kSinks, spec.heads);
}

void add_mixer(List& list, std::size_t width, const DeltaNetSpec& spec) {
  list.matrix(Slot::kMixed, spec.channels(), width);
  list.matrix(Slot::kMixedGate, spec.values(), width);
  list.vector(Slot::kConvolution, spec.convolution, spec.channels());
  if (spec.joint_scalars) {
    list.matrix(Slot::kBetaDecay, 2 * spec.value_heads, width);
  } else {
    list.matrix(Slot::kBeta, spec.value_heads, width);
    list.matrix(Slot::kDecay, spec.value_heads, width);
  }
  list.vector(Slot::kDecayBias, spec.value_heads);
  list.vector(Slot::kDecayRate, spec.value_heads);
  list.vector(Slot::kStateNorm, spec.size);
  list.matrix(Slot::kStateOutput, width, spec.values());
}

void add_mixer(List& list, std::size_t width, const Mamba2Spec& spec) {
  list.matrix(Slot::kStateInput, spec.projected(), width);
  list.vector(Slot::kConvolution, spec.convolution, spec.channels());
  list.vector(Slot::kConvolutionBias, spec.channels());
  list.vector(Slot::kDecayBias, spec.heads);
  list.vector(Slot::kDecayRate, 1, spec.heads);
  list.vector(Slot::kSkip, 1, spec.heads);
  list.vector(Slot::kStateNorm, spec.inner() / spec.groups, spec.groups);
  list.matrix(Slot::kStateOutput, width, spec.inner());
}

void add_mixer(List& list, std::size_t width, const ShortConvolutionSpec& spec) {
  list.matrix(Slot::kShortInput, 3 * spec.width, width);
  list.vector(Slot::kShortConvolution, spec.taps, spec.width);
  list.matrix(Slot::kShortOutput, width, spec.width);
}

void add_mixer(List&, std::size_t, const NoMixer&) {}

void add_ffn(List& list, std::size_t width, const FfnSpec& spec) {
  const bool mixture = spec.experts != 0;
  const std::size_t each = std::max<std::size_t>(1, spec.experts);
  if (mixture) list.matrix(Slot::kRouter, spec.experts, width);
  if (mixture && spec.bias) list.vector(Slot::kRouterBias, spec.experts);
  if (spec.score_bias) list.vector(Slot::kScoreBias, spec.experts);
  if (spec.joint) {
    list.part(Slot::kGate, Slot::kUp, 0, spec.hidden, 2 * spec.hidden, width);
    list.part(Slot::kUp, Slot::kUp, spec.hidden, spec.hidden, 2 * spec.hidden, width);
    list.matrix(Slot::kDown, width, spec.hidden);
    return;
  }
  const bool gated = spec.activation != Activation::kReluSquared;
  if (gated) list.matrix(Slot::kGate, spec.hidden, width, spec.experts);
  if (spec.bias) list.vector(Slot::kGateBias, spec.hidden, each, mixture);
  list.matrix(Slot::kUp, spec.hidden, width, spec.experts);
  if (spec.bias) list.vector(Slot::kUpBias, spec.hidden, each, mixture);
  list.matrix(Slot::kDown, width, spec.hidden, spec.experts);
  if (spec.bias) list.vector(Slot::kDownBias, width, each, mixture);
  if (spec.shared_hidden == 0) return;
  if (spec.shared_gate) list.vector(Slot::kSharedRouter, width);
  if (gated) list.matrix(Slot::kSharedGate, spec.shared_hidden, width);
  list.matrix(Slot::kSharedUp, spec.shared_hidden, width);
  list.matrix(Slot::kSharedDown, width, spec.shared_hidden);
}

std::string shape_text(const std::array<std::uint64_t, 4>& shape) {
  return fmt::format("{}×{}×{}×{}", shape[0], shape[1], shape[2], shape[3]);
}

Result<const GgufTensor*> find(const Gguf& file, const std::string& name,
                               const std::array<std::uint64_t, 4>& shape) {
  const std::string place = file.path().string();
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return invalid("{}: the tensor {} is missing", place, name);
  if (tensor->shape != shape)
    return invalid("{}: the tensor {} is {} and must be {}", place, name, shape_text(tensor->shape),
                   shape_text(shape));
  return tensor;
}

}  // namespace

std::span<const SlotInfo> slot_infos() {
  return kSlotInfo;
}

const SlotInfo& slot_info(Slot slot) {
  return kSlotInfo[static_cast<std::size_t>(slot)];
}

Slot ffn_norm(const LayerSpec& layer) {
  if (!layer.has_mixer()) return Slot::kAttentionNorm;
  return layer.ffn.after_attention ? Slot::kPostAttentionNorm : Slot::kFfnNorm;
}

Slot output_norm(const Blueprint& blueprint) {
  return blueprint.embedding_norm ? Slot::kEmbeddingNorm : Slot::kOutputNorm;
}

std::string tensor_name(Slot slot, std::size_t layer, bool mixture) {
  const SlotInfo& info = slot_info(slot);
  if (info.ending.empty()) return fmt::format("blk.{}.{}", layer, info.part);
  if (!info.in_layer) return fmt::format("{}.{}", info.part, info.ending);
  return fmt::format("blk.{}.{}{}.{}", layer, info.part, mixture ? "_exps" : "", info.ending);
}

std::vector<TensorSpec> tensors_of(const Blueprint& blueprint, std::size_t layer) {
  List list(layer);
  const LayerSpec& spec = blueprint.layers[layer];
  const std::size_t width = blueprint.embedding;
  if (spec.pre_norms) list.vector(Slot::kAttentionNorm, width);
  std::visit([&](const auto& mixer) { add_mixer(list, width, mixer); }, spec.mixer);
  if (spec.post_norms) list.vector(Slot::kPostAttentionNorm, width);
  if (!spec.has_ffn()) return list.take();
  if (spec.pre_norms && spec.has_mixer() && !spec.parallel) list.vector(ffn_norm(spec), width);
  add_ffn(list, width, spec.ffn);
  if (spec.post_norms) list.vector(Slot::kPostFfnNorm, width);
  return list.take();
}

std::vector<TensorSpec> tensors_of(const Blueprint& blueprint) {
  List first, last;
  first.matrix(Slot::kEmbedding, blueprint.vocabulary, blueprint.embedding);
  std::vector<TensorSpec> all = first.take();
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i)
    std::ranges::move(tensors_of(blueprint, i), std::back_inserter(all));
  last.vector(output_norm(blueprint), blueprint.embedding);
  if (!blueprint.tied) last.matrix(Slot::kOutput, blueprint.vocabulary, blueprint.embedding);
  for (const LayerSpec& layer : blueprint.layers) {
    const AttentionSpec* attention = layer.attention();
    if (attention == nullptr || !attention->rope.frequency_factors) continue;
    last.vector(Slot::kRopeFactors, attention->rope.dimensions / 2);
    break;
  }
  std::ranges::move(last.take(), std::back_inserter(all));
  return all;
}

Result<std::vector<BoundTensor>> bind_tensors(const Gguf& file, const Blueprint& blueprint) {
  std::vector<BoundTensor> all;
  for (TensorSpec& spec : tensors_of(blueprint)) {
    BoundTensor bound;
    LATHE_TRY(bound.tensor, find(file, spec.name, spec.shape()));
    const std::string scale = spec.name.substr(0, spec.name.rfind('.')) + ".scale";
    if (!spec.vector && file.find_tensor(scale) != nullptr) {
      if (spec.slot == Slot::kEmbedding)
        return invalid("{}: {}: an embedding with a scale of its own is not supported",
                       file.path().string(), scale);
      LATHE_TRY(bound.scale, find(file, scale, {spec.experts, 1, 1, 1}));
    }
    bound.spec = std::move(spec);
    all.push_back(std::move(bound));
  }
  return all;
}

}  // namespace lathe::infer
