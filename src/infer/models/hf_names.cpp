// The names of Hugging Face's tensors.
#include "infer/models/hf_names.h"

namespace lathe::infer {

std::span<const HfName> hf_names() {
  static constexpr HfName kNames[] = {
      {Slot::kAttentionNorm, "input_layernorm"},
      {Slot::kQ, "self_attn.q_proj"},
      {Slot::kK, "self_attn.k_proj"},
      {Slot::kV, "self_attn.v_proj"},
      {Slot::kAttentionOutput, "self_attn.o_proj"},
      {Slot::kQNorm, "self_attn.q_norm"},
      {Slot::kKNorm, "self_attn.k_norm"},
      {Slot::kFfnNorm, "post_attention_layernorm"},
      {Slot::kRouter, "", "mlp.gate", "block_sparse_moe.gate"},
      {Slot::kGate, "mlp.gate_proj", "mlp.experts.{}.gate_proj", "block_sparse_moe.experts.{}.w1"},
      {Slot::kUp, "mlp.up_proj", "mlp.experts.{}.up_proj", "block_sparse_moe.experts.{}.w3"},
      {Slot::kDown, "mlp.down_proj", "mlp.experts.{}.down_proj", "block_sparse_moe.experts.{}.w2"},
  };
  return kNames;
}

}  // namespace lathe::infer
