// gpt-oss: every other layer looks back on a window only, the first one among them; attention
// sinks, biases everywhere, a router that takes the softmax of the chosen experts.
#include "infer/models/blueprint.h"

namespace lathe::infer {

Result<Blueprint> read_gpt_oss(const ArchitectureKeys& keys) {
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const std::size_t window,
            keys.size("attention.sliding_window", 1, std::size_t{1} << 32));
  LATHE_TRY(const std::size_t hidden,
            keys.size("expert_feed_forward_length", 1, std::size_t{1} << 24));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    LayerSpec& layer = blueprint.layers[i];
    AttentionSpec& attention = *layer.attention();
    attention.rope.neox = true;
    attention.window = i % 2 == 0 ? window : 0;
    attention.sinks = true;
    layer.ffn.hidden = hidden;
    layer.ffn.activation = Activation::kClampedSilu;
    layer.ffn.bias = true;
    layer.ffn.router = RouterRule::kSoftmaxOfChosen;
    layer.ffn.after_attention = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
