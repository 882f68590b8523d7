// Qwen3-Next and Qwen3.5: gated delta nets, and gated attention in every fourth layer. Qwen3-Next,
// and Qwen3.5 where it has experts, have one more that every token takes.
#include "infer/models/blueprint.h"

namespace lathe::infer {
namespace {

Result<DeltaNetSpec> read_delta_net(const ArchitectureKeys& keys) {
  DeltaNetSpec net;
  LATHE_TRY(net.size, keys.size("ssm.state_size", 8, 4096));
  LATHE_TRY(net.key_heads, keys.size("ssm.group_count", 1, 4096));
  LATHE_TRY(net.value_heads, keys.size("ssm.time_step_rank", 1, 4096));
  LATHE_TRY(net.convolution, keys.size("ssm.conv_kernel", 1, 64));
  if (net.value_heads % net.key_heads != 0)
    return invalid("{}: {} is {} and {} is {}; the first must be a multiple of the second",
                   keys.file().path().string(), keys.name("ssm.time_step_rank"), net.value_heads,
                   keys.name("ssm.group_count"), net.key_heads);
  return net;
}

Result<Blueprint> read_hybrid(const ArchitectureKeys& keys, const DeltaNetSpec& net) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const std::size_t interval, keys.size_or("full_attention_interval", 4, 1, 1024));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.ffn.after_attention = true;
    if (layer.ffn.experts != 0) {
      constexpr std::size_t kMost = std::size_t{1} << 24;
      LATHE_TRY(layer.ffn.hidden, keys.size("expert_feed_forward_length", 1, kMost));
      LATHE_TRY(layer.ffn.shared_hidden,
                keys.size_or("expert_shared_feed_forward_length", layer.ffn.hidden, 1, kMost));
      layer.ffn.shared_gate = true;
    }
    if ((i + 1) % interval != 0) {
      layer.mixer = net;
      continue;
    }
    AttentionSpec& attention = *layer.attention();
    attention.rope.neox = true;
    attention.qk_norm = QkNorm::kHead;
    attention.output_gate = true;
    attention.qkv_bias = attention.output_bias = false;
  }
  return blueprint;
}

}  // namespace

Result<Blueprint> read_qwen3next(const ArchitectureKeys& keys) {
  LATHE_TRY(DeltaNetSpec net, read_delta_net(keys));
  net.joint_scalars = true;
  return read_hybrid(keys, net);
}

// A file without sections is of a model that reads texts alone.
Result<Blueprint> read_qwen35(const ArchitectureKeys& keys) {
  LATHE_TRY(DeltaNetSpec net, read_delta_net(keys));
  net.interleaved = true;
  LATHE_TRY(Blueprint blueprint, read_hybrid(keys, net));
  if (keys.file().has(keys.name("rope.dimension_sections")))
    LATHE_TRY_STATUS(read_sections(keys, true, blueprint));
  return blueprint;
}

}  // namespace lathe::infer
