// What one sequence remembers, in the blocks of its model: all positions for the layers that keep
// them; for layers with a window what later tokens still see, the rest goes back as soon as it is
// out of sight; and the state that recurrent layers carry, which stands behind one position and
// knows no way back but a copy. The engine's thread only.
#pragma once

#include <vector>

#include "infer/cache/block_pool.h"
#include "infer/cache/state.h"

namespace lathe::infer {

using BlockCounts = std::vector<std::size_t>;  // by group

// The blocks of one model: a pool for each group of layers that remember alike.
class MemoryStore {
 public:
  // Addresses for kChunk positions of all layers `blocks` times and for so many states, or for as
  // many bytes of one group. `budget` must outlive the store.
  static Result<MemoryStore> create(MemoryLayout layout, std::size_t blocks, KvBudget& budget,
                                    std::size_t states = 0);
  // Addresses for so many blocks of each group, which somebody else hands out.
  static Result<MemoryStore> mirror(MemoryLayout layout, const BlockCounts& blocks,
                                    KvBudget& budget);

  const MemoryLayout& layout() const { return layout_; }
  std::size_t groups() const { return pools_.size(); }
  BlockPool& pool(std::size_t group) { return pools_[group]; }
  const BlockPool& pool(std::size_t group) const { return pools_[group]; }
  std::uint64_t capacity_bytes() const { return capacity_bytes_; }
  std::uint64_t used_bytes() const;
  std::uint64_t held_bytes() const;

  // Whether so many blocks can be taken now, and what they lack: addresses, or bytes of the budget
  // (0: nothing).
  bool can_take(const BlockCounts& blocks) const {
    return has_addresses(blocks) && lacking(blocks) == 0;
  }
  bool has_addresses(const BlockCounts& blocks) const;
  std::uint64_t lacking(const BlockCounts& blocks) const;
  void trim();
  // The memory of free blocks that taking these would not use.
  void trim_beyond(const BlockCounts& blocks);
  void set_follower(BlockFollower* follower);

 private:
  explicit MemoryStore(KvBudget& budget) : budget_(&budget) {}
  MemoryLayout layout_;
  std::vector<BlockPool> pools_;
  std::uint64_t capacity_bytes_ = 0;
  KvBudget* budget_;
};

// Where what a sequence remembers lies.
class SequenceBlocks {
 public:
  // A group's blocks of consecutive positions.
  struct Table {
    std::size_t first = 0;  // the blocks before are gone, or never were
    std::vector<BlockId> blocks;
    std::size_t end() const { return first + blocks.size(); }
  };
  // What the recurrent layers carry.
  struct State {
    std::optional<BlockId> block;
    std::size_t at = 0;             // it stands behind so many positions
    std::optional<BlockId> before;  // while a step may be taken back: what stood
    std::size_t before_at = 0;      // behind so many
  };
  // As somebody else says: the store's blocks, whoever counts their references.
  SequenceBlocks(MemoryStore& store, std::vector<Table> tables, State state)
      : store_(&store), tables_(std::move(tables)), state_(state) {}

  // The block that holds a position, which must be there.
  std::byte* data(std::size_t group, std::size_t position) const {
    const Table& table = tables_[group];
    return store_->pool(group).data(table.blocks[position / kChunk - table.first]);
  }
  // What the recurrent layers carry, and behind how many positions; it must have been prepared.
  std::byte* state() const { return state_pool().data(*state_.block); }
  BlockId state_block() const { return *state_.block; }
  std::size_t state_at() const { return state_.at; }
  bool has_state() const { return state_.block.has_value(); }
  std::span<const Table> tables() const { return tables_; }  // by group; a state's is empty

 protected:
  BlockPool& state_pool() const { return store_->pool(*store_->layout().state_group()); }

  MemoryStore* store_;
  std::vector<Table> tables_;
  State state_;
};

class SequenceMemory : public SequenceBlocks {
 public:
  explicit SequenceMemory(MemoryStore& store)
      : SequenceBlocks(store, std::vector<Table>(store.groups()), {}) {}
  SequenceMemory(SequenceMemory&& other) noexcept;
  SequenceMemory& operator=(SequenceMemory&& other) noexcept;
  ~SequenceMemory() { clear(); }

  // Shares all that it has of the first `positions`, behind which its state must stand; the first
  // write of either side copies what it touches.
  SequenceMemory fork(std::size_t positions) const;
  // Makes positions [from, to) writable and moves the state on to `to`: takes blocks, copies shared
  // ones. `undo`: some of them may be taken back, so the state at `from` is kept too. Fails
  // (kUnavailable) with nothing changed.
  Status prepare(std::size_t from, std::size_t to, bool undo = false);
  // The blocks that prepare() would take.
  BlockCounts blocks_needed(std::size_t from, std::size_t to, bool undo = false) const;
  // `positions` stand for good: what no later token sees goes back. Until then a step's tokens can
  // be taken back (drafts). Returns how many stand: with a state, and fewer than were prepared,
  // only those before the step.
  std::size_t settle(std::size_t positions);
  void clear();
  // What it may still come to take of its claim, `computed` positions into it.
  std::uint64_t bytes_left(std::size_t computed, const Claim& claim) const;

  void copy_state(BlockId from, std::size_t at);
  // Its i-th block in a group that remembers positions; absent: it has none there (any more).
  std::optional<BlockId> block(std::size_t group, std::size_t i) const;
  // A block that somebody else filled, behind those that it has (or as the first one); adds a
  // reference.
  void append_shared(std::size_t group, std::size_t i, BlockId block);
  // Its i-th block, which it has, becomes another one with the same bytes.
  void replace_shared(std::size_t group, std::size_t i, BlockId block);

 private:
  bool takes_state(bool undo) const;
  Status prepare_state(std::size_t from, std::size_t to, bool undo);
  std::size_t settle_state(std::size_t positions);
};

}  // namespace lathe::infer
