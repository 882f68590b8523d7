// The table of tensors, and their places in a file.
#include "infer/models/tensors.h"

#include <algorithm>
#include <utility>

namespace lathe::infer {
namespace {

constexpr SlotInfo kSlotInfo[] = {
    {.slot = Slot::kEmbedding, .part = "token_embd", .ending = "weight", .in_layer = false},
    {.slot = Slot::kTokenTypes,
     .part = "token_types",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kPositions,
     .part = "position_embd",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
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
    {.slot = Slot::kQNormBias, .part = "attn_q_norm", .ending = "bias", .exact = true},
    {.slot = Slot::kKNorm, .part = "attn_k_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kKNormBias, .part = "attn_k_norm", .ending = "bias", .exact = true},
    {.slot = Slot::kSinks, .part = "attn_sinks", .ending = "weight", .exact = true},
    {.slot = Slot::kQLatent, .part = "attn_q_a", .ending = "weight"},
    {.slot = Slot::kQLatentNorm, .part = "attn_q_a_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kQOfLatent, .part = "attn_q_b", .ending = "weight"},
    {.slot = Slot::kKvLatent, .part = "attn_kv_a_mqa", .ending = "weight"},
    {.slot = Slot::kKvLatentNorm, .part = "attn_kv_a_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kKeyOfLatent, .part = "attn_k_b", .ending = "weight"},
    {.slot = Slot::kValueOfLatent, .part = "attn_v_b", .ending = "weight"},
    {.slot = Slot::kIndexQuery, .part = "indexer.attn_q_b", .ending = "weight"},
    {.slot = Slot::kIndexKey, .part = "indexer.attn_k", .ending = "weight"},
    {.slot = Slot::kIndexKeyNorm, .part = "indexer.k_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kIndexKeyNormBias, .part = "indexer.k_norm", .ending = "bias", .exact = true},
    {.slot = Slot::kIndexWeights, .part = "indexer.proj", .ending = "weight", .exact = true},
    {.slot = Slot::kMixed, .part = "attn_qkv", .ending = "weight", .adapts = true},
    {.slot = Slot::kMixedBias, .part = "attn_qkv", .ending = "bias", .exact = true},
    {.slot = Slot::kMixedGate, .part = "attn_gate", .ending = "weight", .adapts = true},
    {.slot = Slot::kStateInput, .part = "ssm_in", .ending = "weight", .adapts = true},
    {.slot = Slot::kConvolution, .part = "ssm_conv1d", .ending = "weight", .exact = true},
    {.slot = Slot::kConvolutionBias, .part = "ssm_conv1d", .ending = "bias", .exact = true},
    {.slot = Slot::kQConvolution, .part = "ssm_conv1d_q", .ending = "weight", .exact = true},
    {.slot = Slot::kKConvolution, .part = "ssm_conv1d_k", .ending = "weight", .exact = true},
    {.slot = Slot::kVConvolution, .part = "ssm_conv1d_v", .ending = "weight", .exact = true},
    {.slot = Slot::kDecayDown, .part = "ssm_f_a", .ending = "weight"},
    {.slot = Slot::kDecayUp, .part = "ssm_f_b", .ending = "weight"},
    {.slot = Slot::kGateDown, .part = "ssm_g_a", .ending = "weight"},
    {.slot = Slot::kGateUp, .part = "ssm_g_b", .ending = "weight"},
    {.slot = Slot::kBetaDecay, .part = "ssm_ba", .ending = "weight"},
    {.slot = Slot::kBeta, .part = "ssm_beta", .ending = "weight"},
    {.slot = Slot::kDecay, .part = "ssm_alpha", .ending = "weight"},
    {.slot = Slot::kDecayBias, .part = "ssm_dt", .ending = "bias", .exact = true},
    {.slot = Slot::kDecayRate, .part = "ssm_a", .ending = "", .exact = true},
    {.slot = Slot::kSkip, .part = "ssm_d", .ending = "", .exact = true},
    {.slot = Slot::kStateNorm, .part = "ssm_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kStateOutput, .part = "ssm_out", .ending = "weight", .adapts = true},
    {.slot = Slot::kShortInput, .part = "shortconv.in_proj", .ending = "weight", .adapts = true},
    {.slot = Slot::kShortConvolution, .part = "shortconv.conv", .ending = "weight", .exact = true},
    {.slot = Slot::kShortOutput, .part = "shortconv.out_proj", .ending = "weight", .adapts = true},
    {.slot = Slot::kPostAttentionNorm,
     .part = "post_attention_norm",
     .ending = "weight",
     .exact = true},
    {.slot = Slot::kSumAttentionNorm,
     .part = "attn_output_norm",
     .ending = "weight",
     .exact = true},
    {.slot = Slot::kSumAttentionNormBias,
     .part = "attn_output_norm",
     .ending = "bias",
     .exact = true},
    {.slot = Slot::kFfnNorm, .part = "ffn_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kExpertsNorm, .part = "pre_ffw_norm_2", .ending = "weight", .exact = true},
    {.slot = Slot::kRouter, .part = "ffn_gate_inp", .ending = "weight", .exact = true},
    {.slot = Slot::kRouterScale, .part = "ffn_gate_inp", .ending = "scale", .exact = true},
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
    {.slot = Slot::kLatentDown, .part = "ffn_latent_down", .ending = "weight", .adapts = true},
    {.slot = Slot::kLatentUp, .part = "ffn_latent_up", .ending = "weight", .adapts = true},
    {.slot = Slot::kBesideGate, .part = "ffn_gate", .ending = "weight"},
    {.slot = Slot::kBesideUp, .part = "ffn_up", .ending = "weight"},
    {.slot = Slot::kBesideDown, .part = "ffn_down", .ending = "weight"},
    {.slot = Slot::kBesidePostNorm, .part = "post_ffw_norm_1", .ending = "weight", .exact = true},
    {.slot = Slot::kExpertsPostNorm, .part = "post_ffw_norm_2", .ending = "weight", .exact = true},
    {.slot = Slot::kPostFfnNorm, .part = "post_ffw_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kSumFfnNorm, .part = "layer_output_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kSumFfnNormBias, .part = "layer_output_norm", .ending = "bias", .exact = true},
    {.slot = Slot::kSharedRouter, .part = "ffn_gate_inp_shexp", .ending = "weight", .exact = true},
    {.slot = Slot::kSharedGate, .part = "ffn_gate_shexp", .ending = "weight", .adapts = true},
    {.slot = Slot::kSharedUp, .part = "ffn_up_shexp", .ending = "weight", .adapts = true},
    {.slot = Slot::kSharedDown, .part = "ffn_down_shexp", .ending = "weight", .adapts = true},
    {.slot = Slot::kInputGate, .part = "inp_gate", .ending = "weight"},
    {.slot = Slot::kInputProjection, .part = "proj", .ending = "weight"},
    {.slot = Slot::kInputPostNorm, .part = "post_norm", .ending = "weight", .exact = true},
    {.slot = Slot::kLayerScale, .part = "layer_output_scale", .ending = "weight", .exact = true},
    {.slot = Slot::kJoin, .part = "nextn.eh_proj", .ending = "weight"},
    {.slot = Slot::kJoinTokenNorm, .part = "nextn.enorm", .ending = "weight", .exact = true},
    {.slot = Slot::kJoinRowNorm, .part = "nextn.hnorm", .ending = "weight", .exact = true},
    {.slot = Slot::kPredictorNorm,
     .part = "nextn.shared_head_norm",
     .ending = "weight",
     .exact = true},
    {.slot = Slot::kLayerEmbedding,
     .part = "per_layer_token_embd",
     .ending = "weight",
     .in_layer = false},
    {.slot = Slot::kLayerProjection,
     .part = "per_layer_model_proj",
     .ending = "weight",
     .in_layer = false},
    {.slot = Slot::kLayerProjectionNorm,
     .part = "per_layer_proj_norm",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kEmbeddingNorm,
     .part = "token_embd_norm",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kEmbeddingNormBias,
     .part = "token_embd_norm",
     .ending = "bias",
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
    {.slot = Slot::kRopeFactorsLong,
     .part = "rope_factors_long",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kRopeFactorsShort,
     .part = "rope_factors_short",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kDense2,
     .part = "dense_2",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kDense3,
     .part = "dense_3",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kClassifier,
     .part = "cls",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kClassifierBias,
     .part = "cls",
     .ending = "bias",
     .in_layer = false,
     .exact = true,
     .bias_of = Slot::kClassifier},
    {.slot = Slot::kClassifierNorm,
     .part = "cls.norm",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kClassifierOutput,
     .part = "cls.output",
     .ending = "weight",
     .in_layer = false,
     .exact = true},
    {.slot = Slot::kClassifierOutputBias,
     .part = "cls.output",
     .ending = "bias",
     .in_layer = false,
     .exact = true,
     .bias_of = Slot::kClassifierOutput},
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
  // `named`: the file's number of the layer.
  explicit List(std::size_t layer = 0, std::size_t named = 0) : layer_(layer), named_(named) {}
  void vector(Slot slot, std::size_t size, std::size_t rows = 1, bool mixture = false) {
    all_.push_back({.slot = slot,
                    .layer = layer_,
                    .name = tensor_name(slot, named_, mixture),
                    .rows = rows,
                    .k = size,
                    .vector = true});
  }
  // A vector whose rows the file has as planes of one row each.
  void planes(Slot slot, std::size_t size, std::size_t planes) {
    vector(slot, size);
    all_.back().experts = planes;
  }
  // experts 0: a matrix of its own.
  void matrix(Slot slot, std::size_t rows, std::size_t k, std::size_t experts = 0) {
    all_.push_back({.slot = slot,
                    .layer = layer_,
                    .name = tensor_name(slot, named_, experts != 0),
                    .rows = rows,
                    .k = k,
                    .experts = std::max<std::size_t>(1, experts)});
  }
  // A matrix for each head.
  void heads(Slot slot, std::size_t heads, std::size_t rows, std::size_t k) {
    matrix(slot, rows, k);
    all_.back().experts = heads;
    all_.back().heads = true;
  }
  // Rows of the tensor that another slot is named after.
  void part(Slot slot, std::string_view whole, std::size_t first_row, std::size_t rows,
            std::size_t file_rows, std::size_t k, std::size_t experts = 0) {
    matrix(slot, rows, k, experts);
    all_.back().name = fmt::format("blk.{}.{}.weight", named_, whole);
    all_.back().file_rows = file_rows;
    all_.back().first_row = first_row;
  }
  std::vector<TensorSpec> take() { return std::move(all_); }

 private:
  std::size_t layer_, named_;
  std::vector<TensorSpec> all_;
};

void add_mixer(List& list, std::size_t width, const AttentionSpec& spec) {
  const std::size_t q = spec.heads * spec.head_dim, kv = spec.kv_heads * spec.head_dim;
  const bool own = !spec.kv_of;
  if (spec.joint_qkv) {
    const std::string_view whole = slot_info(Slot::kMixed).part;
    list.part(Slot::kQ, whole, 0, q, q + 2 * kv, width);
    list.part(Slot::kK, whole, q, kv, q + 2 * kv, width);
    list.part(Slot::kV, whole, q + kv, kv, q + 2 * kv, width);
    if (spec.qkv_bias) list.vector(Slot::kMixedBias, q + 2 * kv);
  } else {
    list.matrix(Slot::kQ, spec.output_gate ? 2 * q : q, width);
    if (spec.qkv_bias) list.vector(Slot::kQBias, q);
    if (own) list.matrix(Slot::kK, kv, width);
    if (spec.qkv_bias) list.vector(Slot::kKBias, kv);
    if (own && !spec.values_of_keys) list.matrix(Slot::kV, kv, width);
    if (spec.qkv_bias) list.vector(Slot::kVBias, kv);
  }
  list.matrix(Slot::kAttentionOutput, width, q);
  if (spec.output_bias) list.vector(Slot::kAttentionOutputBias, width);
  if (spec.qk_norm != QkNorm::kNone && !spec.plain_qk_norm) {
    const bool layer = spec.qk_norm == QkNorm::kWholeLayer;
    const bool whole = layer || spec.qk_norm == QkNorm::kWhole;
    list.vector(Slot::kQNorm, whole ? q : spec.head_dim);
    if (layer) list.vector(Slot::kQNormBias, q);
    if (own) list.vector(Slot::kKNorm, whole ? kv : spec.head_dim);
    if (layer) list.vector(Slot::kKNormBias, kv);
  }
  if (spec.sinks) list.vector(Slot::kSinks, spec.heads);
}

void add_mixer(List& list, std::size_t width, const LatentAttentionSpec& spec) {
  const std::size_t q = spec.heads * spec.query();
  if (spec.query_rank == 0) {
    list.matrix(Slot::kQ, q, width);
  } else {
    list.matrix(Slot::kQLatent, spec.query_rank, width);
    list.vector(Slot::kQLatentNorm, spec.query_rank);
    list.matrix(Slot::kQOfLatent, q, spec.query_rank);
  }
  list.matrix(Slot::kKvLatent, spec.latent + spec.turned, width);
  list.vector(Slot::kKvLatentNorm, spec.latent);
  list.heads(Slot::kKeyOfLatent, spec.heads, spec.latent, spec.plain);
  list.heads(Slot::kValueOfLatent, spec.heads, spec.value_dim, spec.latent);
  if (spec.owns_indexer()) {
    const IndexerSpec& indexer = *spec.indexer;
    list.matrix(Slot::kIndexQuery, indexer.heads * indexer.key, spec.query_rank);
    list.matrix(Slot::kIndexKey, indexer.key, width);
    list.vector(Slot::kIndexKeyNorm, indexer.key);
    list.vector(Slot::kIndexKeyNormBias, indexer.key);
    list.matrix(Slot::kIndexWeights, indexer.heads, width);
  }
  list.matrix(Slot::kAttentionOutput, width, spec.heads * spec.value_dim);
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

void add_mixer(List& list, std::size_t width, const KeyDecaySpec& spec) {
  const std::size_t values = spec.values();
  for (const Slot slot : {Slot::kQ, Slot::kK, Slot::kV}) list.matrix(slot, values, width);
  for (const Slot slot : {Slot::kQConvolution, Slot::kKConvolution, Slot::kVConvolution})
    list.planes(slot, spec.convolution, values);
  list.matrix(Slot::kDecayDown, spec.rank, width);
  list.matrix(Slot::kDecayUp, values, spec.rank);
  list.matrix(Slot::kBeta, spec.heads, width);
  list.vector(Slot::kDecayBias, values);
  list.vector(Slot::kDecayRate, 1, spec.heads);
  list.matrix(Slot::kGateDown, spec.rank, width);
  list.matrix(Slot::kGateUp, values, spec.rank);
  list.vector(Slot::kStateNorm, spec.size);
  list.matrix(Slot::kAttentionOutput, width, values);
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

// A dense part beside experts, and the norms of both.
void add_beside(List& list, std::size_t width, std::size_t hidden) {
  list.vector(Slot::kExpertsNorm, width);
  list.vector(Slot::kRouterScale, width);
  list.matrix(Slot::kBesideGate, hidden, width);
  list.matrix(Slot::kBesideUp, hidden, width);
  list.matrix(Slot::kBesideDown, width, hidden);
  list.vector(Slot::kBesidePostNorm, width);
  list.vector(Slot::kExpertsPostNorm, width);
}

void add_ffn(List& list, std::size_t width, const FfnSpec& spec) {
  const bool mixture = spec.experts != 0;
  const std::size_t each = std::max<std::size_t>(1, spec.experts);
  const std::size_t outer = width;
  if (spec.latent != 0) {
    list.matrix(Slot::kLatentDown, spec.latent, outer);
    list.matrix(Slot::kLatentUp, outer, spec.latent);
    width = spec.latent;
  }
  if (spec.beside_hidden != 0) add_beside(list, outer, spec.beside_hidden);
  if (mixture) list.matrix(Slot::kRouter, spec.experts, outer);
  if (mixture && spec.bias) list.vector(Slot::kRouterBias, spec.experts);
  if (spec.score_bias) list.vector(Slot::kScoreBias, spec.experts);
  const bool gated = has_gate(spec.activation);
  if (spec.joint) {
    const std::size_t both = 2 * spec.hidden;
    const std::string_view whole = mixture ? kJointExpertsPart : slot_info(Slot::kUp).part;
    list.part(Slot::kGate, whole, 0, spec.hidden, both, width, spec.experts);
    list.part(Slot::kUp, whole, spec.hidden, spec.hidden, both, width, spec.experts);
  } else {
    if (gated) list.matrix(Slot::kGate, spec.hidden, width, spec.experts);
    if (gated && spec.input_bias) list.vector(Slot::kGateBias, spec.hidden, each, mixture);
    list.matrix(Slot::kUp, spec.hidden, width, spec.experts);
  }
  if (spec.input_bias && !spec.joint) list.vector(Slot::kUpBias, spec.hidden, each, mixture);
  list.matrix(Slot::kDown, width, spec.hidden, spec.experts);
  if (spec.bias) list.vector(Slot::kDownBias, width, each, mixture);
  if (spec.shared_hidden == 0) return;
  if (spec.shared_gate) list.vector(Slot::kSharedRouter, outer);
  if (gated) list.matrix(Slot::kSharedGate, spec.shared_hidden, outer);
  list.matrix(Slot::kSharedUp, spec.shared_hidden, outer);
  list.matrix(Slot::kSharedDown, outer, spec.shared_hidden);
}

// A pooled text's way.
void add_head(List& list, const Blueprint& blueprint) {
  for (const HeadLayer& layer : blueprint.head) {
    list.matrix(layer.matrix, layer.rows, layer.k);
    if (layer.bias) list.vector(bias_of(layer.matrix), layer.rows);
    if (layer.norm) list.vector(Slot::kClassifierNorm, layer.rows);
  }
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

// A bias of one of its layers that nothing adds would give another model's answers.
Status check_biases(const Gguf& file, const Blueprint& blueprint,
                    std::span<const BoundTensor> bound) {
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    const std::string layer = fmt::format("blk.{}.", blueprint.first_layer + i);
    for (const GgufTensor& tensor : file.tensors()) {
      if (!tensor.name.starts_with(layer) || !tensor.name.ends_with(".bias")) continue;
      if (std::ranges::any_of(bound, [&](const BoundTensor& b) { return b.tensor == &tensor; }))
        continue;
      return invalid("{}: {} is a bias that Lathe adds in no model of {}", file.path().string(),
                     tensor.name, blueprint.architecture);
    }
  }
  return {};
}

}  // namespace

std::span<const SlotInfo> slot_infos() {
  return kSlotInfo;
}

const SlotInfo& slot_info(Slot slot) {
  return kSlotInfo[static_cast<std::size_t>(slot)];
}

Slot bias_of(Slot linear) {
  const auto found = std::ranges::find(kSlotInfo, std::optional(linear), &SlotInfo::bias_of);
  LATHE_CHECK(found != std::end(kSlotInfo));
  return found->slot;
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

std::string joint_experts_name(std::size_t layer) {
  return fmt::format("blk.{}.{}.weight", layer, kJointExpertsPart);
}

std::vector<TensorSpec> tensors_of(const Blueprint& blueprint, std::size_t layer) {
  List list(layer, blueprint.first_layer + layer);
  const LayerSpec& spec = blueprint.layers[layer];
  const std::size_t width = blueprint.embedding;
  const auto sum_norm = [&](Slot weight, Slot bias) {
    if (!spec.sum_norms) return;
    list.vector(weight, width);
    if (blueprint.norm_bias) list.vector(bias, width);
  };
  if (spec.pre_norms && spec.mixer_norm) list.vector(Slot::kAttentionNorm, width);
  std::visit([&](const auto& mixer) { add_mixer(list, width, mixer); }, spec.mixer);
  if (spec.post_norms) list.vector(Slot::kPostAttentionNorm, width);
  sum_norm(Slot::kSumAttentionNorm, Slot::kSumAttentionNormBias);
  if (blueprint.predicts && layer == 0) {
    list.matrix(Slot::kJoin, width, 2 * width);
    list.vector(Slot::kJoinTokenNorm, width);
    list.vector(Slot::kJoinRowNorm, width);
    if (blueprint.own_output_norm) list.vector(Slot::kPredictorNorm, width);
  }
  if (!spec.has_ffn()) return list.take();
  if (spec.pre_norms && spec.has_mixer() && !spec.parallel) list.vector(ffn_norm(spec), width);
  add_ffn(list, width, spec.ffn);
  if (spec.post_norms) list.vector(Slot::kPostFfnNorm, width);
  sum_norm(Slot::kSumFfnNorm, Slot::kSumFfnNormBias);
  if (blueprint.layer_input != 0) {
    list.matrix(Slot::kInputGate, blueprint.layer_input, width);
    list.matrix(Slot::kInputProjection, width, blueprint.layer_input);
    list.vector(Slot::kInputPostNorm, width);
  }
  if (spec.scaled) list.vector(Slot::kLayerScale, 1);
  return list.take();
}

// Which of the frequencies' factors the layers want.
void add_rope_factors(List& list, const Blueprint& blueprint) {
  bool one = false, by_context = false;
  for (const LayerSpec& layer : blueprint.layers) {
    const RopeSpec* rope = layer.rope();
    if (rope == nullptr) continue;
    const std::size_t pairs = rope->dimensions / 2;
    if (rope->factors == RopeFactors::kOne && !std::exchange(one, true))
      list.vector(Slot::kRopeFactors, pairs);
    if (rope->factors != RopeFactors::kByContext || std::exchange(by_context, true)) continue;
    list.vector(Slot::kRopeFactorsLong, pairs);
    list.vector(Slot::kRopeFactorsShort, pairs);
  }
}

std::vector<TensorSpec> tensors_of(const Blueprint& blueprint) {
  List first, last;
  if (blueprint.predicts) return tensors_of(blueprint, 0);
  first.matrix(Slot::kEmbedding, blueprint.vocabulary, blueprint.embedding);
  if (blueprint.token_types != 0)
    first.vector(Slot::kTokenTypes, blueprint.embedding, blueprint.token_types);
  if (blueprint.learned_positions)
    first.vector(Slot::kPositions, blueprint.embedding, blueprint.context);
  std::vector<TensorSpec> all = first.take();
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i)
    std::ranges::move(tensors_of(blueprint, i), std::back_inserter(all));
  if (blueprint.layer_input != 0) {
    const std::size_t all_inputs = blueprint.layer_input * blueprint.layers.size();
    last.matrix(Slot::kLayerEmbedding, blueprint.vocabulary, all_inputs);
    last.matrix(Slot::kLayerProjection, all_inputs, blueprint.embedding);
    last.vector(Slot::kLayerProjectionNorm, blueprint.layer_input);
  }
  if (blueprint.input_norm) last.vector(Slot::kEmbeddingNorm, blueprint.embedding);
  if (blueprint.input_norm && blueprint.norm_bias)
    last.vector(Slot::kEmbeddingNormBias, blueprint.embedding);
  if (blueprint.final_norm) last.vector(output_norm(blueprint), blueprint.embedding);
  if (blueprint.generates && !blueprint.tied)
    last.matrix(Slot::kOutput, blueprint.outputs(), blueprint.embedding);
  add_rope_factors(last, blueprint);
  add_head(last, blueprint);
  std::ranges::move(last.take(), std::back_inserter(all));
  return all;
}

Result<std::vector<BoundTensor>> bind_tensors(const Gguf& file, const Blueprint& blueprint) {
  std::vector<BoundTensor> all;
  for (TensorSpec& spec : tensors_of(blueprint)) {
    BoundTensor bound;
    LATHE_TRY(bound.tensor, find(file, spec.name, spec.shape()));
    const std::string scale = spec.name.substr(0, spec.name.rfind('.')) + ".scale";
    // Of experts beside a dense part, it is what the router's input is multiplied by.
    const bool of_input =
        spec.slot == Slot::kRouter && blueprint.layers[spec.layer].ffn.beside_hidden != 0;
    if (!spec.vector && !of_input && file.find_tensor(scale) != nullptr) {
      if (spec.slot == Slot::kEmbedding)
        return invalid("{}: {}: an embedding with a scale of its own is not supported",
                       file.path().string(), scale);
      LATHE_TRY(bound.scale, find(file, scale, {spec.experts, 1, 1, 1}));
    }
    bound.spec = std::move(spec);
    all.push_back(std::move(bound));
  }
  LATHE_TRY_STATUS(check_biases(file, blueprint, all));
  return all;
}

}  // namespace lathe::infer
