// Qwen3-Next: gated delta nets, and gated attention in every fourth layer; experts, and one that
// every token takes.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen3next(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const std::size_t interval, keys.size_or("full_attention_interval", 4, 1, 1024));
  DeltaNetSpec net;
  LATHE_TRY(net.size, keys.size("ssm.state_size", 1, 4096));
  LATHE_TRY(net.key_heads, keys.size("ssm.group_count", 1, 4096));
  LATHE_TRY(net.value_heads, keys.size("ssm.time_step_rank", 1, 4096));
  LATHE_TRY(net.convolution, keys.size("ssm.conv_kernel", 1, 64));
  LATHE_TRY(const std::size_t hidden,
            keys.size("expert_feed_forward_length", 1, std::size_t{1} << 24));
  LATHE_TRY(const std::size_t shared,
            keys.size_or("expert_shared_feed_forward_length", hidden, 1, std::size_t{1} << 24));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.ffn.hidden = hidden;
    layer.ffn.shared_hidden = shared;
    if ((i + 1) % interval != 0) {
      layer.mixer = net;
      continue;
    }
    AttentionSpec& attention = *layer.attention();
    attention.rope.neox = true;
    attention.qk_norm = true;
    attention.output_gate = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
