// What a layer remembers of a sequence, and how the bytes of one block are laid out. A model's
// layers each name a StateSpec; nothing else about a cache depends on the architecture. Plain data,
// pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "infer/kernels/kernels.h"

namespace lathe::infer {

// Consecutive layers of a model: those that one machine holds.
struct LayerRange {
  std::size_t first = 0, end = SIZE_MAX;

  bool holds(std::size_t layer) const { return layer >= first && layer < end; }
  bool operator==(const LayerRange&) const = default;
};

struct StateSpec {
  enum class Kind : std::uint8_t {
    kNone,       // a layer without memory
    kAttention,  // K and V of every position, or of the last `window`
    kRecurrent,  // a constant number of bytes a sequence
  };
  Kind kind = Kind::kNone;
  std::size_t kv_heads = 0;
  KvShape head = {};                // its dimensions
  std::size_t window = 0;           // 0: all positions
  std::size_t recurrent_bytes = 0;  // of one sequence
  bool passing = false;       // K and V are needed only while the layer is computed (encoders)
  std::size_t index_key = 0;  // beside K and V an indexer's key, of so many dimensions; 0: none

  bool operator==(const StateSpec&) const = default;
};

// The prefix index can let a prompt go on from every position of layers that keep all; of windows
// and states it is given what a sequence needs there every so many positions of its prompt, and at
// its end.
inline constexpr std::size_t kCheckpoint = 512;
// Of states, which are large, no more than about so many of one prompt.
inline constexpr std::size_t kStateCheckpoints = 16;

// The dimensions a head has in the cache and in the attention kernels, which take vectors of 16:
// those that it lacks are zeros, which change no product of q and k and no dimension of its own.
constexpr std::size_t padded_head(std::size_t head_dim) {
  return (head_dim + 15) / 16 * 16;
}
constexpr KvShape padded_head(const KvShape& head) {
  return {padded_head(head.key), padded_head(head.value), head.shared};
}
// What an indexer's keys are kept as: those of a head that has no values.
constexpr KvShape index_shape(std::size_t key) {
  return {.key = padded_head(key), .value = 0, .shared = true};
}

// Layers that remember alike share blocks: those that keep every position, those of one window, and
// those that carry a state. A block holds kChunk positions of all layers of its group: for each,
// one KV chunk a head, and behind them one of the indexer's keys, if it has such. Of a state there
// is one block a sequence: all that its layers carry behind one position.
struct MemoryGroup {
  std::size_t window = 0;  // 0: all positions
  std::size_t block_bytes = 0;
  bool state = false;
  bool passing = false;  // its layers have one place, one after the other

  bool keeps_all() const { return window == 0 && !state; }
};

class MemoryLayout {
 public:
  MemoryLayout() = default;
  // Of a model that stands on several machines, as the one with these layers has it: all have the
  // same groups, with blocks of the same bytes, which are as many as the one with most of a group
  // needs. So a block that one can take, all can.
  MemoryLayout(std::span<const StateSpec> layers, const KvFormat& format, LayerRange own = {});

  const KvFormat& format() const { return *format_; }
  std::span<const MemoryGroup> groups() const { return groups_; }
  // Where a layer's chunks stand in a block of its group, one a head, one behind the other, and its
  // index keys; or what it carries.
  struct Place {
    std::size_t group = 0, offset = 0, head_bytes = 0, index_offset = 0;
  };
  const Place& place(std::size_t layer) const { return places_[layer]; }
  // kChunk positions of all layers that remember positions: a block of each such group.
  std::size_t block_bytes() const;
  // All that the recurrent layers carry of one sequence, and its group.
  std::size_t state_bytes() const { return state_ ? groups_[*state_].block_bytes : 0; }
  std::optional<std::size_t> state_group() const { return state_; }
  // Whether a prompt can be gone on from every position of another.
  bool keeps_all() const { return std::ranges::all_of(groups_, &MemoryGroup::keeps_all); }

 private:
  std::size_t group_of(const StateSpec& layer);
  void add_layers(std::span<const StateSpec> layers, LayerRange range);
  const KvFormat* format_ = nullptr;
  std::vector<MemoryGroup> groups_;
  std::vector<Place> places_;  // by layer
  std::optional<std::size_t> state_;
};

// How far apart what a prompt of so many tokens needs to be gone on from is remembered.
inline std::size_t checkpoint_distance(const MemoryLayout& layout, std::size_t prompt) {
  return layout.state_group() ? std::max(kCheckpoint, prompt / kStateCheckpoints) : kCheckpoint;
}

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
// run, in whole blocks, and no more. Of a state an answer has one, another while drafts are
// checked, and while answers part ways there is one more. `held`: blocks, by group, that it has
// already and need not take.
StateBytes worst_case(const MemoryLayout& layout, const Claim& claim,
                      std::span<const std::size_t> held = {});
// What the prefix index may come to keep of windows and states for one sequence, beside what
// worst_case() counts: it goes as soon as anybody needs the memory.
std::uint64_t restart_bytes(const MemoryLayout& layout, std::size_t positions);
// The most positions whose worst case is within `bytes`, in whole blocks; the other numbers are the
// claim's.
std::size_t positions_within(const MemoryLayout& layout, Claim claim, std::uint64_t bytes);

}  // namespace lathe::infer
