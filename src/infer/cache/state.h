// What a layer remembers of a sequence, and how the bytes of one block are laid out. A model's
// layers each name a StateSpec; nothing else about a cache depends on the architecture. Plain data,
// pure functions.
#pragma once

#include <algorithm>
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

// The prefix index can let a prompt go on from every position of layers that keep all; of windows
// it is given what a sequence needs there every so many positions of its prompt, and at its end.
inline constexpr std::size_t kCheckpoint = 512;

// The dimensions a head has in the cache and in the attention kernels, which take vectors of 16:
// those that it lacks are zeros, which change no product of q and k and no dimension of its own.
constexpr std::size_t padded_head(std::size_t head_dim) {
  return (head_dim + 15) / 16 * 16;
}

// Layers that remember alike share blocks: those that keep every position, and those of one window.
// A block holds kChunk positions of all layers of its group: for each, one KV chunk a head.
struct MemoryGroup {
  std::size_t window = 0;  // 0: all positions
  std::size_t block_bytes = 0;
};

class MemoryLayout {
 public:
  MemoryLayout() = default;
  MemoryLayout(std::span<const StateSpec> layers, const KvFormat& format);

  const KvFormat& format() const { return *format_; }
  std::span<const MemoryGroup> groups() const { return groups_; }
  // Where a layer's chunks stand in a block of its group: one a head, one behind the other.
  struct Place {
    std::size_t group = 0, offset = 0, head_bytes = 0;
  };
  const Place& place(std::size_t layer) const { return places_[layer]; }
  // kChunk positions of all layers: a block of every group.
  std::size_t block_bytes() const;
  bool has_windows() const {
    return std::ranges::any_of(groups_, [](const MemoryGroup& g) { return g.window != 0; });
  }
  std::uint64_t recurrent_bytes() const { return recurrent_bytes_; }  // of one sequence

 private:
  const KvFormat* format_ = nullptr;
  std::vector<MemoryGroup> groups_;
  std::vector<Place> places_;  // by layer
  std::uint64_t recurrent_bytes_ = 0;
};

// The oldest position that a query at `position` sees.
constexpr std::size_t oldest_visible(std::size_t window, std::size_t position) {
  return window == 0 || position < window ? 0 : position + 1 - window;
}
constexpr std::size_t blocks_for(std::size_t positions) {
  return (positions + kChunk - 1) / kChunk;
}

// What a request may come to want.
struct Claim {
  std::size_t prompt = 0;
  std::size_t positions = 0;   // the prompt and an answer
  std::size_t candidates = 1;  // so many answers
  // The longest runs of one sequence's tokens that one step computes: of its prompt, and of an
  // answer with its drafts.
  std::size_t prompt_step = 1, answer_step = 1;
};

struct StateBytes {
  std::uint64_t kv = 0;      // of layers that keep every position
  std::uint64_t window = 0;  // of those that keep a window
  std::uint64_t recurrent = 0;
  std::uint64_t total() const { return kv + window + recurrent; }
};
// The one formula for what a request may come to take, without blocks shared with others: the
// prompt once, each answer on its own, whole blocks. A layer with a window keeps what it sees of a
// run, in whole blocks, and no more. `held`: blocks, by group,
// that it has already and need not take.
StateBytes worst_case(const MemoryLayout& layout, const Claim& claim,
                      std::span<const std::size_t> held = {});
// What the prefix index may come to keep of windows for one sequence, beside what worst_case()
// counts: it goes as soon as anybody needs the memory.
std::uint64_t restart_bytes(const MemoryLayout& layout, std::size_t positions);
// The most positions whose worst case is within `bytes`, in whole blocks; the other numbers are the
// claim's.
std::size_t positions_within(const MemoryLayout& layout, Claim claim, std::uint64_t bytes);

}  // namespace lathe::infer
