// Llama 4: three layers of four see their own chunk of 8192 positions, with RoPE and norms behind
// it; every fourth sees all, without positions and with a temperature. An expert's weight
// multiplies what it reads.
#include "infer/models/blueprint.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kChunkLength = 8192;

void set_chunked_attention(AttentionSpec& attention, std::size_t layer, bool chunks, bool norms) {
  if ((layer + 1) % 4 == 0) {
    attention.rope = {};
    attention.temperature = 0.1;
    attention.temperature_length = kChunkLength;
    attention.temperature_offset = 1;
    return;
  }
  if (norms) attention.qk_norm = QkNorm::kHeadAfterRope;
  attention.plain_qk_norm = true;
  if (!chunks) return;
  attention.window = kChunkLength;
  attention.chunked = true;
}

}  // namespace

Result<Blueprint> read_llama4(const ArchitectureKeys& keys) {
  constexpr std::size_t kMost = std::size_t{1} << 24;
  LATHE_TRY(Blueprint blueprint, read_decoder(keys));
  LATHE_TRY(const std::size_t step, keys.size_or("interleave_moe_layer_step", 1, 1, 1024));
  LATHE_TRY(const std::size_t window,
            keys.size_or("attention.sliding_window", kChunkLength, 0, std::size_t{1} << 32));
  for (std::size_t i = 0; i < blueprint.layers.size(); ++i) {
    FfnSpec& ffn = blueprint.layers[i].ffn;
    // The largest of them has 128 experts and no norms of q and k.
    set_chunked_attention(*blueprint.layers[i].attention(), i, window != 0, ffn.experts != 128);
    if (ffn.experts == 0) continue;
    if ((i + 1) % step != 0) {
      make_dense(ffn);
      continue;
    }
    LATHE_TRY(ffn.hidden, keys.size("expert_feed_forward_length", 1, kMost));
    ffn.shared_hidden = ffn.hidden;
    ffn.router = RouterRule::kSigmoidOfChosen;
    ffn.normalize_weights = false;
    ffn.weighs_input = true;
  }
  return blueprint;
}

}  // namespace lathe::infer
