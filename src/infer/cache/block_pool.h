// KV blocks of one size out of one reservation of addresses, counted by references: a block
// shared by two sequences (a fork, a common prefix) is never written; whoever must write takes a
// copy first (SequenceMemory does). A block has memory from its first use until trim(), and that
// memory is booked in the budget that all models share. The engine's thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "ground/base/result.h"
#include "infer/cache/kv_budget.h"
#include "infer/tensor/memory.h"

namespace lathe::infer {

using BlockId = std::uint32_t;

// Hears what a pool does with the bytes of blocks, but for what a step writes: who repeats it on
// memory of its own has the same in the same blocks.
class BlockFollower {
 public:
  virtual ~BlockFollower() = default;
  virtual void copied(std::size_t group, BlockId from, BlockId to) = 0;
  virtual void cleared(std::size_t group, BlockId block) = 0;
  virtual void discarded(std::size_t group, BlockId block) = 0;  // its memory is given back
};

class BlockPool {
 public:
  // `budget` must outlive the pool.
  static Result<BlockPool> create(std::size_t block_bytes, std::size_t blocks, KvBudget& budget);
  BlockPool(BlockPool&& other) noexcept = default;
  BlockPool& operator=(BlockPool&& other) noexcept = default;
  ~BlockPool();

  std::size_t block_bytes() const { return block_bytes_; }
  std::size_t capacity() const { return references_.size(); }
  std::size_t used_blocks() const { return capacity() - unused_blocks(); }
  // Not in use, whether there is memory for them or not.
  std::size_t unused_blocks() const { return free_.size() + bare_.size(); }
  std::size_t warm_blocks() const { return free_.size(); }  // of those, the ones that have it
  // That take() can give now: with memory, or with room for it in the budget.
  std::size_t free_blocks() const;
  std::uint64_t used_bytes() const { return used_blocks() * block_bytes_; }
  std::uint64_t held_bytes() const { return (capacity() - bare_.size()) * block_bytes_; }

  // Fails (kUnavailable) when none is free.
  Result<BlockId> take();
  void add_reference(BlockId block);
  void release(BlockId block);
  void trim(std::size_t keep = 0);  // gives the memory of free blocks back, but for so many
  std::uint32_t references(BlockId block) const { return references_[block]; }
  // Whether the one who holds it gives it up where memory is short (the prefix index does). Of
  // those, the ones that nobody else refers to are counted.
  void set_spare(BlockId block, bool spare);
  std::size_t spare_blocks() const { return spare_blocks_; }
  std::span<std::byte> memory() const { return {pages_.data(), pages_.size()}; }  // of all blocks
  std::byte* data(BlockId block) const { return pages_.data() + block * block_bytes_; }
  void copy(BlockId from, BlockId to);
  void clear(BlockId block);    // to zeros
  void discard(BlockId block);  // gives its pages back, whoever counts them
  // It must outlive the pool's use; `group` is what the pool is to it.
  void set_follower(BlockFollower* follower, std::size_t group);

 private:
  explicit BlockPool(KvBudget& budget) : budget_(&budget) {}
  std::size_t block_bytes_ = 0;
  Pages pages_;
  std::vector<std::uint32_t> references_;
  std::vector<bool> spare_;
  std::size_t spare_blocks_ = 0;
  // Free ones that have memory (the last one given back is the first one taken: its pages are
  // warm), and those that have none.
  std::vector<BlockId> free_, bare_;
  KvBudget* budget_;
  BlockFollower* follower_ = nullptr;  // nullptr: nobody
  std::size_t group_ = 0;
};

}  // namespace lathe::infer
