// Qwen3-Next: gated delta nets, and attention in every fourth layer. A delta net keeps, in f32, one
// matrix (key × value) a value head and the inputs that its short convolution still needs; a key
// and a value of a head have the same size.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_qwen3next(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const std::size_t interval, keys.size_or("full_attention_interval", 4, 1, 1024));
  LATHE_TRY(const std::size_t size, keys.size("ssm.state_size", 1, 4096));
  LATHE_TRY(const std::size_t key_heads, keys.size("ssm.group_count", 1, 4096));
  LATHE_TRY(const std::size_t value_heads, keys.size("ssm.time_step_rank", 1, 4096));
  LATHE_TRY(const std::size_t convolution, keys.size("ssm.conv_kernel", 1, 64));
  LATHE_TRY(const std::size_t hidden,
            keys.size("expert_feed_forward_length", 1, std::size_t{1} << 24));
  const std::size_t channels = (2 * key_heads + value_heads) * size;
  const RecurrentSpec net{
      .state_bytes = (value_heads * size * size + (convolution - 1) * channels) * sizeof(float),
      .width = channels + value_heads * size};
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    layer.ffn.hidden = hidden;
    if ((i + 1) % interval == 0) {
      layer.attention.rope.neox = true;
      layer.attention.qk_norm = true;
    } else {
      layer.attention = {};
      layer.recurrent = net;
    }
  }
  return blueprint;
}

}  // namespace lathe::infer
