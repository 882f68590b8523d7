// What families call the tensors of a layer with which its tokens see each other, and of the norms
// that stand beside them. Tables of hf_families.cpp.
#pragma once

#include "infer/convert/hf_family.h"

namespace lathe::infer {

inline constexpr HfTensor kAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kQ, "self_attn.q_proj.weight"},
    {.slot = Slot::kQBias, .name = "self_attn.q_proj.bias", .optional = true},
    {Slot::kK, "self_attn.k_proj.weight"},
    {.slot = Slot::kKBias, .name = "self_attn.k_proj.bias", .optional = true},
    {Slot::kV, "self_attn.v_proj.weight"},
    {.slot = Slot::kVBias, .name = "self_attn.v_proj.bias", .optional = true},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
    {.slot = Slot::kAttentionOutputBias, .name = "self_attn.o_proj.bias", .optional = true},
    {.slot = Slot::kQNorm, .name = "self_attn.q_norm.weight", .optional = true},
    {.slot = Slot::kKNorm, .name = "self_attn.k_norm.weight", .optional = true},
    {.slot = Slot::kSinks, .name = "self_attn.sinks", .optional = true},
};

inline constexpr HfTensor kGemmaAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight", kAnyLayer, Take::kPlusOne},
    {Slot::kQ, "self_attn.q_proj.weight"},
    {Slot::kK, "self_attn.k_proj.weight"},
    {Slot::kV, "self_attn.v_proj.weight"},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
    {Slot::kQNorm, "self_attn.q_norm.weight", kAnyLayer, Take::kPlusOne, true},
    {Slot::kKNorm, "self_attn.k_norm.weight", kAnyLayer, Take::kPlusOne, true},
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight", kAnyLayer, Take::kPlusOne},
    {Slot::kFfnNorm, "pre_feedforward_layernorm.weight", kAnyLayer, Take::kPlusOne},
    {Slot::kPostFfnNorm, "post_feedforward_layernorm.weight", kAnyLayer, Take::kPlusOne},
};

inline constexpr HfTensor kOlmoAttention[] = {
    {Slot::kQ, "self_attn.q_proj.weight"},
    {Slot::kK, "self_attn.k_proj.weight"},
    {Slot::kV, "self_attn.v_proj.weight"},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
    {Slot::kQNorm, "self_attn.q_norm.weight"},
    {Slot::kKNorm, "self_attn.k_norm.weight"},
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight"},
    {Slot::kPostFfnNorm, "post_feedforward_layernorm.weight"},
};

inline constexpr HfTensor kPhiAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kMixed, "self_attn.qkv_proj.weight"},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
};

inline constexpr HfTensor kHunyuanAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kQ, "self_attn.q_proj.weight"},
    {Slot::kK, "self_attn.k_proj.weight"},
    {Slot::kV, "self_attn.v_proj.weight"},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
    {Slot::kQNorm, "self_attn.query_layernorm.weight"},
    {Slot::kKNorm, "self_attn.key_layernorm.weight"},
};

inline constexpr HfTensor kLatentAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {.slot = Slot::kQ, .name = "self_attn.q_proj.weight", .optional = true},
    {.slot = Slot::kQLatent, .name = "self_attn.q_a_proj.weight", .optional = true},
    {.slot = Slot::kQLatentNorm, .name = "self_attn.q_a_layernorm.weight", .optional = true},
    {.slot = Slot::kQOfLatent, .name = "self_attn.q_b_proj.weight", .optional = true},
    {Slot::kKvLatent, "self_attn.kv_a_proj_with_mqa.weight"},
    {Slot::kKvLatentNorm, "self_attn.kv_a_layernorm.weight"},
    {Slot::kKeyOfLatent, "self_attn.kv_b_proj.weight", kAnyLayer, Take::kKeyOfLatent},
    {Slot::kValueOfLatent, "self_attn.kv_b_proj.weight", kAnyLayer, Take::kValueOfLatent},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
};

// Qwen's gated attention, its norms, and what a layer that predicts begins with.
inline constexpr HfTensor kQwenGatedAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight", kAnyLayer, Take::kPlusOne},
    {Slot::kQ, "self_attn.q_proj.weight", kAttends},
    {Slot::kK, "self_attn.k_proj.weight", kAttends},
    {Slot::kV, "self_attn.v_proj.weight", kAttends},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight", kAttends},
    {Slot::kQNorm, "self_attn.q_norm.weight", kAttends, Take::kPlusOne},
    {Slot::kKNorm, "self_attn.k_norm.weight", kAttends, Take::kPlusOne},
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight", kAnyLayer, Take::kPlusOne},
    {Slot::kJoin, "/mtp.fc.weight", kPredicts},
    {Slot::kJoinTokenNorm, "/mtp.pre_fc_norm_embedding.weight", kPredicts, Take::kPlusOne},
    {Slot::kJoinRowNorm, "/mtp.pre_fc_norm_hidden.weight", kPredicts, Take::kPlusOne},
    {Slot::kPredictorNorm, "/mtp.norm.weight", kPredicts, Take::kPlusOne},
};

// … its delta net where a layer has one: Qwen3-Next's.
inline constexpr HfTensor kQwenNextNet[] = {
    {Slot::kMixed, "linear_attn.in_proj_qkvz.weight", kCarries, Take::kMixedOfHeads},
    {Slot::kMixedGate, "linear_attn.in_proj_qkvz.weight", kCarries, Take::kGatesOfHeads},
    {Slot::kConvolution, "linear_attn.conv1d.weight", kCarries},
    {Slot::kBetaDecay, "linear_attn.in_proj_ba.weight", kCarries},
    {Slot::kDecayBias, "linear_attn.dt_bias", kCarries},
    {Slot::kDecayRate, "linear_attn.A_log", kCarries, Take::kNegativeExp},
    {Slot::kStateNorm, "linear_attn.norm.weight", kCarries},
    {Slot::kStateOutput, "linear_attn.out_proj.weight", kCarries},
};

// … Qwen3.5's, whose value heads GGUF has in another order.
inline constexpr HfTensor kQwen35Net[] = {
    {Slot::kMixed, "linear_attn.in_proj_qkv.weight", kCarries, Take::kMixedValueHeads},
    {Slot::kMixedGate, "linear_attn.in_proj_z.weight", kCarries, Take::kValueHeads},
    {Slot::kConvolution, "linear_attn.conv1d.weight", kCarries, Take::kMixedValueHeads},
    {Slot::kBeta, "linear_attn.in_proj_b.weight", kCarries, Take::kValueHeads},
    {Slot::kDecay, "linear_attn.in_proj_a.weight", kCarries, Take::kValueHeads},
    {Slot::kDecayBias, "linear_attn.dt_bias", kCarries, Take::kValueHeads},
    {Slot::kDecayRate, "linear_attn.A_log", kCarries, Take::kNegativeExpValueHeads},
    {Slot::kStateNorm, "linear_attn.norm.weight", kCarries},
    {Slot::kStateOutput, "linear_attn.out_proj.weight", kCarries, Take::kValueHeadColumns},
};

inline constexpr HfTensor kGraniteMixer[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kQ, "self_attn.q_proj.weight", kAttends},
    {Slot::kK, "self_attn.k_proj.weight", kAttends},
    {Slot::kV, "self_attn.v_proj.weight", kAttends},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight", kAttends},
    {Slot::kStateInput, "mamba.in_proj.weight", kCarries},
    {Slot::kConvolution, "mamba.conv1d.weight", kCarries},
    {Slot::kConvolutionBias, "mamba.conv1d.bias", kCarries},
    {Slot::kDecayBias, "mamba.dt_bias", kCarries},
    {Slot::kDecayRate, "mamba.A_log", kCarries, Take::kNegativeExpColumn},
    {Slot::kSkip, "mamba.D", kCarries, Take::kColumn},
    {Slot::kStateNorm, "mamba.norm.weight", kCarries, Take::kGroups},
    {Slot::kStateOutput, "mamba.out_proj.weight", kCarries},
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
};

// A layer of Nemotron-H is one part alone.
inline constexpr HfTensor kNemotronMixer[] = {
    {Slot::kAttentionNorm, "norm.weight"},
    {Slot::kQ, "mixer.q_proj.weight", kAttends},
    {Slot::kK, "mixer.k_proj.weight", kAttends},
    {Slot::kV, "mixer.v_proj.weight", kAttends},
    {Slot::kAttentionOutput, "mixer.o_proj.weight", kAttends},
    {Slot::kStateInput, "mixer.in_proj.weight", kCarries},
    {Slot::kConvolution, "mixer.conv1d.weight", kCarries},
    {Slot::kConvolutionBias, "mixer.conv1d.bias", kCarries},
    {Slot::kDecayBias, "mixer.dt_bias", kCarries},
    {Slot::kDecayRate, "mixer.A_log", kCarries, Take::kNegativeExpColumn},
    {Slot::kSkip, "mixer.D", kCarries, Take::kColumn},
    {Slot::kStateNorm, "mixer.norm.weight", kCarries, Take::kGroups},
    {Slot::kStateOutput, "mixer.out_proj.weight", kCarries},
};

inline constexpr HfTensor kLfmMixer[] = {
    {Slot::kAttentionNorm, "operator_norm.weight"},
    {Slot::kQ, "self_attn.q_proj.weight", kAttends},
    {Slot::kK, "self_attn.k_proj.weight", kAttends},
    {Slot::kV, "self_attn.v_proj.weight", kAttends},
    {Slot::kAttentionOutput, "self_attn.out_proj.weight", kAttends},
    {Slot::kQNorm, "self_attn.q_layernorm.weight", kAttends},
    {Slot::kKNorm, "self_attn.k_layernorm.weight", kAttends},
    {Slot::kShortInput, "conv.in_proj.weight", kCarries},
    {Slot::kShortConvolution, "conv.conv.weight", kCarries},
    {Slot::kShortOutput, "conv.out_proj.weight", kCarries},
    {Slot::kFfnNorm, "ffn_norm.weight"},
};

// Delta nets of Kimi's, or latent attention.
inline constexpr HfTensor kKimiMixer[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kQ, "self_attn.q_proj.weight"},
    {Slot::kK, "self_attn.k_proj.weight", kCarries},
    {Slot::kV, "self_attn.v_proj.weight", kCarries},
    {Slot::kQConvolution, "self_attn.q_conv1d.weight", kCarries, Take::kPlanes},
    {Slot::kKConvolution, "self_attn.k_conv1d.weight", kCarries, Take::kPlanes},
    {Slot::kVConvolution, "self_attn.v_conv1d.weight", kCarries, Take::kPlanes},
    {Slot::kDecayDown, "self_attn.f_a_proj.weight", kCarries},
    {Slot::kDecayUp, "self_attn.f_b_proj.weight", kCarries},
    {Slot::kGateDown, "self_attn.g_a_proj.weight", kCarries},
    {Slot::kGateUp, "self_attn.g_b_proj.weight", kCarries},
    {Slot::kBeta, "self_attn.b_proj.weight", kCarries},
    {Slot::kDecayBias, "self_attn.dt_bias", kCarries},
    {Slot::kDecayRate, "self_attn.A_log", kCarries, Take::kNegativeExpColumn},
    {Slot::kStateNorm, "self_attn.o_norm.weight", kCarries},
    {Slot::kKvLatent, "self_attn.kv_a_proj_with_mqa.weight", kAttends},
    {Slot::kKvLatentNorm, "self_attn.kv_a_layernorm.weight", kAttends},
    {Slot::kKeyOfLatent, "self_attn.kv_b_proj.weight", kAttends, Take::kKeyOfLatent},
    {Slot::kValueOfLatent, "self_attn.kv_b_proj.weight", kAttends, Take::kValueOfLatent},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
};

// Latent attention whose positions an indexer chooses; a layer may use the one before's choice.
inline constexpr HfTensor kSparseAttention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kQLatent, "self_attn.q_a_proj.weight"},
    {Slot::kQLatentNorm, "self_attn.q_a_layernorm.weight"},
    {Slot::kQOfLatent, "self_attn.q_b_proj.weight"},
    {Slot::kKvLatent, "self_attn.kv_a_proj_with_mqa.weight"},
    {Slot::kKvLatentNorm, "self_attn.kv_a_layernorm.weight"},
    {Slot::kKeyOfLatent, "self_attn.kv_b_proj.weight", kAnyLayer, Take::kKeyOfLatent},
    {Slot::kValueOfLatent, "self_attn.kv_b_proj.weight", kAnyLayer, Take::kValueOfLatent},
    {Slot::kIndexQuery, "self_attn.indexer.wq_b.weight", kAnyLayer, Take::kAll, true},
    {Slot::kIndexKey, "self_attn.indexer.wk.weight", kAnyLayer, Take::kAll, true},
    {Slot::kIndexKeyNorm, "self_attn.indexer.k_norm.weight", kAnyLayer, Take::kAll, true},
    {Slot::kIndexKeyNormBias, "self_attn.indexer.k_norm.bias", kAnyLayer, Take::kAll, true},
    {Slot::kIndexWeights, "self_attn.indexer.weights_proj.weight", kAnyLayer, Take::kAll, true},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
};

inline constexpr HfTensor kGemma4Attention[] = {
    {Slot::kAttentionNorm, "input_layernorm.weight"},
    {Slot::kQ, "self_attn.q_proj.weight"},
    {Slot::kK, "self_attn.k_proj.weight", kOwnKeys},
    {Slot::kV, "self_attn.v_proj.weight", kOwnValues},
    {Slot::kKNorm, "self_attn.k_norm.weight", kOwnKeys},
    // Some files have what a layer does not use.
    {Slot::kK, "self_attn.k_proj.weight", kShares, Take::kAll, true},
    {Slot::kV, "self_attn.v_proj.weight", kShares, Take::kAll, true},
    {Slot::kKNorm, "self_attn.k_norm.weight", kShares, Take::kAll, true},
    {Slot::kAttentionOutput, "self_attn.o_proj.weight"},
    {Slot::kQNorm, "self_attn.q_norm.weight"},
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight"},
    {Slot::kFfnNorm, "pre_feedforward_layernorm.weight"},
    {Slot::kPostFfnNorm, "post_feedforward_layernorm.weight"},
    {.slot = Slot::kInputGate, .name = "per_layer_input_gate.weight", .optional = true},
    {.slot = Slot::kInputProjection, .name = "per_layer_projection.weight", .optional = true},
    {.slot = Slot::kInputPostNorm, .name = "post_per_layer_input_norm.weight", .optional = true},
    {.slot = Slot::kLayerScale, .name = "layer_scalar", .optional = true},
};

}  // namespace lathe::infer
