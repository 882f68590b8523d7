// What a layer remembers of a sequence, and how the bytes of one block are laid out. A model's
// layers each name a StateSpec; nothing else about a cache depends on the architecture. Plain data,
// pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/kernels/kernels.h"

namespace lathe::infer {

struct StateSpec {
  enum class Kind : std::uint8_t {
    kNone,       // a layer without memory
    kAttention,  // K and V of every position, or of the last `window`
    kRecurrent,  // a constant number of bytes a sequence
  };
  Kind kind = Kind::kNone;
  std::size_t kv_heads = 0;
  std::size_t head_dim = 0;
  std::size_t window = 0;           // 0: all positions
  std::size_t recurrent_bytes = 0;  // of one sequence

  bool operator==(const StateSpec&) const = default;
};

// The dimensions a head has in the cache and in the attention kernels, which take vectors of 16:
// those that it lacks are zeros, which change no product of q and k and no dimension of its own.
constexpr std::size_t padded_head(std::size_t head_dim) {
  return (head_dim + 15) / 16 * 16;
}

// A block holds kChunk positions of every attention layer: for each layer, one KV chunk per head.
class BlockLayout {
 public:
  BlockLayout() = default;
  BlockLayout(std::span<const StateSpec> layers, const KvFormat& format);

  std::size_t bytes() const { return bytes_; }
  const KvFormat& format() const { return *format_; }
  std::size_t offset(std::size_t layer, std::size_t head) const {
    return layers_[layer].offset + head * layers_[layer].head_bytes;
  }
  double bytes_per_token() const { return static_cast<double>(bytes_) / kChunk; }

 private:
  struct Layer {
    std::size_t offset = 0;
    std::size_t head_bytes = 0;
  };
  const KvFormat* format_ = nullptr;
  std::vector<Layer> layers_;
  std::size_t bytes_ = 0;
};

// What `positions` of one sequence take: whole blocks for attention, the constant part for
// recurrent layers. Without blocks shared between sequences.
struct StateBytes {
  std::uint64_t kv = 0;      // of layers that keep every position
  std::uint64_t window = 0;  // of those that keep their window, and one chunk
  std::uint64_t recurrent = 0;
};
StateBytes state_bytes(std::span<const StateSpec> layers, const KvFormat& format,
                       std::uint64_t positions);

}  // namespace lathe::infer
