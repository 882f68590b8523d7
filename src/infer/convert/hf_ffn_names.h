// What families call the tensors of a layer's feed-forward part, and the norm in front of it.
// Tables of hf_families.cpp.
#pragma once

#include "infer/convert/hf_family.h"

namespace lathe::infer {

// Norms that stand in no list of parts.
inline constexpr HfTensor kNormBeforeFfn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
};
inline constexpr HfTensor kNormBehindAttention[] = {
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight"},
};

inline constexpr HfTensor kGatedFfn[] = {
    {Slot::kGate, "mlp.gate_proj.weight"},
    {Slot::kUp, "mlp.up_proj.weight"},
    {Slot::kDown, "mlp.down_proj.weight"},
};

inline constexpr HfTensor kGlmFfn[] = {
    {Slot::kPostAttentionNorm, "post_self_attn_layernorm.weight"},
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kPostFfnNorm, "post_mlp_layernorm.weight"},
    {Slot::kUp, "mlp.gate_up_proj.weight"},
    {Slot::kDown, "mlp.down_proj.weight"},
};

inline constexpr HfTensor kPhiFfn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kUp, "mlp.gate_up_proj.weight"},
    {Slot::kDown, "mlp.down_proj.weight"},
};

inline constexpr HfTensor kMixtralFfn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kRouter, "block_sparse_moe.gate.weight"},
    {.slot = Slot::kScoreBias,
     .name = "block_sparse_moe.e_score_correction_bias",
     .optional = true},
    {Slot::kGate, "block_sparse_moe.experts.{}.w1.weight"},
    {Slot::kUp, "block_sparse_moe.experts.{}.w3.weight"},
    {Slot::kDown, "block_sparse_moe.experts.{}.w2.weight"},
};

inline constexpr HfTensor kQwenFfn[] = {
    {Slot::kRouter, "mlp.gate.weight"},
    {Slot::kGate, "mlp.experts.{}.gate_proj.weight"},
    {Slot::kUp, "mlp.experts.{}.up_proj.weight"},
    {Slot::kDown, "mlp.experts.{}.down_proj.weight"},
    {.slot = Slot::kSharedRouter, .name = "mlp.shared_expert_gate.weight", .optional = true},
    {.slot = Slot::kSharedGate, .name = "mlp.shared_expert.gate_proj.weight", .optional = true},
    {.slot = Slot::kSharedUp, .name = "mlp.shared_expert.up_proj.weight", .optional = true},
    {.slot = Slot::kSharedDown, .name = "mlp.shared_expert.down_proj.weight", .optional = true},
};

// All experts in one, gate's rows before up's.
inline constexpr HfTensor kQwen35Ffn[] = {
    {Slot::kRouter, "mlp.gate.weight"},
    {Slot::kGate, "mlp.experts.gate_up_proj", kExperts, Take::kFirstHalf},
    {Slot::kUp, "mlp.experts.gate_up_proj", kExperts, Take::kSecondHalf},
    {Slot::kDown, "mlp.experts.down_proj"},
    {Slot::kSharedRouter, "mlp.shared_expert_gate.weight"},
    {Slot::kSharedGate, "mlp.shared_expert.gate_proj.weight"},
    {Slot::kSharedUp, "mlp.shared_expert.up_proj.weight"},
    {Slot::kSharedDown, "mlp.shared_expert.down_proj.weight"},
};

// Dense layers before those of experts, which may have a shared one.
inline constexpr HfTensor kRoutedFfn[] = {
    {Slot::kGate, "mlp.gate_proj.weight", kDense},
    {Slot::kUp, "mlp.up_proj.weight", kDense},
    {Slot::kDown, "mlp.down_proj.weight", kDense},
    {Slot::kRouter, "mlp.gate.weight", kExperts},
    {Slot::kGate, "mlp.experts.{}.gate_proj.weight", kExperts},
    {Slot::kUp, "mlp.experts.{}.up_proj.weight", kExperts},
    {Slot::kDown, "mlp.experts.{}.down_proj.weight", kExperts},
    {Slot::kSharedGate, "mlp.shared_experts.gate_proj.weight", kExperts, Take::kAll, true},
    {Slot::kSharedUp, "mlp.shared_experts.up_proj.weight", kExperts, Take::kAll, true},
    {Slot::kSharedDown, "mlp.shared_experts.down_proj.weight", kExperts, Take::kAll, true},
};

// … the norm in front of it, and what is added to scores when experts are chosen.
inline constexpr HfTensor kBiasedScores[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kScoreBias, "mlp.gate.e_score_correction_bias", kExperts},
};
inline constexpr HfTensor kErnieScores[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kScoreBias, "mlp.moe_statics.e_score_correction_bias", kExperts, Take::kAll, true},
};

// … and what a layer that predicts begins with.
inline constexpr HfTensor kPredictorBeforeFfn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kScoreBias, "mlp.gate.e_score_correction_bias", kExperts},
    {Slot::kJoin, "eh_proj.weight", kPredicts},
    {Slot::kJoinTokenNorm, "enorm.weight", kPredicts},
    {Slot::kJoinRowNorm, "hnorm.weight", kPredicts},
    {Slot::kPredictorNorm, "shared_head.norm.weight", kPredicts},
};
inline constexpr HfTensor kPredictorBehindAttention[] = {
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight"},
    {Slot::kScoreBias, "mlp.gate.e_score_correction_bias", kExperts},
    {Slot::kJoin, "eh_proj.weight", kPredicts},
    {Slot::kJoinTokenNorm, "enorm.weight", kPredicts},
    {Slot::kJoinRowNorm, "hnorm.weight", kPredicts},
    {Slot::kPredictorNorm, "shared_head.norm.weight", kPredicts},
};

inline constexpr HfTensor kHunyuanFfn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kRouter, "mlp.gate.wg.weight"},
    {Slot::kGate, "mlp.experts.{}.gate_proj.weight"},
    {Slot::kUp, "mlp.experts.{}.up_proj.weight"},
    {Slot::kDown, "mlp.experts.{}.down_proj.weight"},
    {Slot::kSharedGate, "mlp.shared_mlp.gate_proj.weight"},
    {Slot::kSharedUp, "mlp.shared_mlp.up_proj.weight"},
    {Slot::kSharedDown, "mlp.shared_mlp.down_proj.weight"},
};

inline constexpr HfTensor kGptOssFfn[] = {
    {Slot::kPostAttentionNorm, "post_attention_layernorm.weight"},
    {Slot::kRouter, "mlp.router.weight"},
    {Slot::kRouterBias, "mlp.router.bias"},
    {Slot::kGate, "mlp.experts.gate_up_proj", kAnyLayer, Take::kEvenColumns},
    {Slot::kGateBias, "mlp.experts.gate_up_proj_bias", kAnyLayer, Take::kEvenNumbers},
    {Slot::kUp, "mlp.experts.gate_up_proj", kAnyLayer, Take::kOddColumns},
    {Slot::kUpBias, "mlp.experts.gate_up_proj_bias", kAnyLayer, Take::kOddNumbers},
    {Slot::kDown, "mlp.experts.down_proj", kAnyLayer, Take::kColumns},
    {Slot::kDownBias, "mlp.experts.down_proj_bias"},
};

// Granite with experts, all of them in one.
inline constexpr HfTensor kGraniteExperts[] = {
    {Slot::kRouter, "block_sparse_moe.router.layer.weight", kExperts},
    {Slot::kGate, "block_sparse_moe.input_linear.weight", kExperts, Take::kFirstHalf},
    {Slot::kUp, "block_sparse_moe.input_linear.weight", kExperts, Take::kSecondHalf},
    {Slot::kDown, "block_sparse_moe.output_linear.weight", kExperts},
    {Slot::kSharedGate, "shared_mlp.input_linear.weight", kExperts, Take::kFirstHalf, true},
    {Slot::kSharedUp, "shared_mlp.input_linear.weight", kExperts, Take::kSecondHalf, true},
    {Slot::kSharedDown, "shared_mlp.output_linear.weight", kExperts, Take::kAll, true},
    {Slot::kGate, "shared_mlp.input_linear.weight", kDense, Take::kFirstHalf},
    {Slot::kUp, "shared_mlp.input_linear.weight", kDense, Take::kSecondHalf},
    {Slot::kDown, "shared_mlp.output_linear.weight", kDense},
};

inline constexpr HfTensor kNemotronFfn[] = {
    {Slot::kUp, "mixer.up_proj.weight", kDense},
    {Slot::kDown, "mixer.down_proj.weight", kDense},
    {Slot::kRouter, "mixer.gate.weight", kExperts},
    {Slot::kScoreBias, "mixer.gate.e_score_correction_bias", kExperts},
    {Slot::kUp, "mixer.experts.{}.up_proj.weight", kExperts},
    {Slot::kDown, "mixer.experts.{}.down_proj.weight", kExperts},
    {Slot::kLatentDown, "mixer.fc1_latent_proj.weight", kExperts, Take::kAll, true},
    {Slot::kLatentUp, "mixer.fc2_latent_proj.weight", kExperts, Take::kAll, true},
    {Slot::kSharedUp, "mixer.shared_experts.up_proj.weight", kExperts},
    {Slot::kSharedDown, "mixer.shared_experts.down_proj.weight", kExperts},
};

inline constexpr HfTensor kLfmFfn[] = {
    {Slot::kGate, "feed_forward.w1.weight", kDense},
    {Slot::kUp, "feed_forward.w3.weight", kDense},
    {Slot::kDown, "feed_forward.w2.weight", kDense},
    {Slot::kRouter, "feed_forward.gate.weight", kExperts},
    {Slot::kScoreBias, "feed_forward.expert_bias", kExperts, Take::kAll, true},
    {Slot::kGate, "feed_forward.experts.{}.w1.weight", kExperts},
    {Slot::kUp, "feed_forward.experts.{}.w3.weight", kExperts},
    {Slot::kDown, "feed_forward.experts.{}.w2.weight", kExperts},
};

inline constexpr HfTensor kKimiFfn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kGate, "mlp.gate_proj.weight", kDense},
    {Slot::kUp, "mlp.up_proj.weight", kDense},
    {Slot::kDown, "mlp.down_proj.weight", kDense},
    {Slot::kRouter, "block_sparse_moe.gate.weight", kExperts},
    {Slot::kScoreBias, "block_sparse_moe.gate.e_score_correction_bias", kExperts},
    {Slot::kGate, "block_sparse_moe.experts.{}.w1.weight", kExperts},
    {Slot::kUp, "block_sparse_moe.experts.{}.w3.weight", kExperts},
    {Slot::kDown, "block_sparse_moe.experts.{}.w2.weight", kExperts},
    {Slot::kSharedGate, "block_sparse_moe.shared_experts.gate_proj.weight", kExperts},
    {Slot::kSharedUp, "block_sparse_moe.shared_experts.up_proj.weight", kExperts},
    {Slot::kSharedDown, "block_sparse_moe.shared_experts.down_proj.weight", kExperts},
};

inline constexpr HfTensor kLlama4Ffn[] = {
    {Slot::kFfnNorm, "post_attention_layernorm.weight"},
    {Slot::kGate, "feed_forward.gate_proj.weight", kDense},
    {Slot::kUp, "feed_forward.up_proj.weight", kDense},
    {Slot::kDown, "feed_forward.down_proj.weight", kDense},
    {Slot::kRouter, "feed_forward.router.weight", kExperts},
    {Slot::kGate, "feed_forward.experts.gate_up_proj", kExperts, Take::kFirstColumns},
    {Slot::kUp, "feed_forward.experts.gate_up_proj", kExperts, Take::kSecondColumns},
    {Slot::kDown, "feed_forward.experts.down_proj", kExperts, Take::kColumns},
    {Slot::kSharedGate, "feed_forward.shared_expert.gate_proj.weight", kExperts},
    {Slot::kSharedUp, "feed_forward.shared_expert.up_proj.weight", kExperts},
    {Slot::kSharedDown, "feed_forward.shared_expert.down_proj.weight", kExperts},
};

// Experts stand beside the dense part.
inline constexpr HfTensor kGemma4Ffn[] = {
    {Slot::kGate, "mlp.gate_proj.weight", kDense},
    {Slot::kUp, "mlp.up_proj.weight", kDense},
    {Slot::kDown, "mlp.down_proj.weight", kDense},
    {Slot::kBesideGate, "mlp.gate_proj.weight", kExperts},
    {Slot::kBesideUp, "mlp.up_proj.weight", kExperts},
    {Slot::kBesideDown, "mlp.down_proj.weight", kExperts},
    {Slot::kBesidePostNorm, "post_feedforward_layernorm_1.weight", kExperts},
    {Slot::kExpertsNorm, "pre_feedforward_layernorm_2.weight", kExperts},
    {Slot::kExpertsPostNorm, "post_feedforward_layernorm_2.weight", kExperts},
    {Slot::kRouter, "router.proj.weight", kExperts},
    {Slot::kRouterScale, "router.scale", kExperts},
    {.slot = Slot::kDownBias,
     .name = "router.per_expert_scale",
     .parts = kExperts,
     .as = "ffn_down_exps.scale"},
    {.slot = Slot::kUp,
     .name = "experts.gate_up_proj",
     .parts = kExperts,
     .as = "ffn_gate_up_exps.weight"},
    {Slot::kDown, "experts.down_proj", kExperts},
};

inline constexpr std::string_view kGlmCopies[] = {"embed_tokens.weight", "shared_head.head.weight"};

}  // namespace lathe::infer
