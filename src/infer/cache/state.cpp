// How what a layer remembers is laid out in blocks.
#include "infer/cache/state.h"

#include <algorithm>

namespace lathe::infer {

BlockLayout::BlockLayout(std::span<const StateSpec> layers, const KvFormat& format)
    : format_(&format) {
  layers_.resize(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].kind != StateSpec::Kind::kAttention) continue;
    layers_[i] = {bytes_, format.chunk_bytes(padded_head(layers[i].head_dim))};
    bytes_ += layers_[i].head_bytes * layers[i].kv_heads;
  }
}

StateBytes state_bytes(std::span<const StateSpec> layers, const KvFormat& format,
                       std::uint64_t positions) {
  StateBytes total;
  const std::uint64_t chunks = (positions + kChunk - 1) / kChunk;
  for (const StateSpec& layer : layers) {
    switch (layer.kind) {
      case StateSpec::Kind::kNone:
        break;
      case StateSpec::Kind::kAttention: {
        // A window that is not aligned to chunks touches one more.
        const std::uint64_t kept =
            layer.window == 0 ? chunks : std::min(chunks, (layer.window + kChunk - 1) / kChunk + 1);
        (layer.window == 0 ? total.kv : total.window) +=
            kept * layer.kv_heads * format.chunk_bytes(padded_head(layer.head_dim));
        break;
      }
      case StateSpec::Kind::kRecurrent:
        total.recurrent += layer.recurrent_bytes;
        break;
    }
  }
  return total;
}

}  // namespace lathe::infer
