// gpt-oss: every other layer looks back on a window only, the first one among them; attention
// sinks, biases everywhere, a router that takes the softmax of the chosen experts.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_gpt_oss(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY_STATUS(read_windows(keys, blueprint, 2));
  LATHE_TRY(const std::size_t hidden,
            keys.size("expert_feed_forward_length", 1, std::size_t{1} << 24));
  for (LayerSpec& layer : blueprint.layers) {
    AttentionSpec& attention = *layer.attention();
    attention.rope.neox = true;
    attention.sinks = true;
    layer.ffn.hidden = hidden;
    layer.ffn.activation = Activation::kClampedSilu;
    layer.ffn.bias = layer.ffn.input_bias = true;
    layer.ffn.router = RouterRule::kSoftmaxOfChosen;
    layer.ffn.after_attention = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
