// KV blocks of fixed size out of one reservation of addresses, counted by references: a block
// shared by two sequences (a fork, a common prefix) is never written; whoever must write takes a
// copy first (BlockTable does). A block has memory from its first use until trim(), and that memory
// is booked in the budget that all models share. The engine's thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "ground/base/result.h"
#include "infer/cache/kv_budget.h"
#include "infer/cache/state.h"
#include "infer/tensor/memory.h"

namespace lathe::infer {

using BlockId = std::uint32_t;

class BlockPool {
 public:
  // `budget` must outlive the pool.
  static Result<BlockPool> create(BlockLayout layout, std::size_t blocks, KvBudget& budget);
  BlockPool(BlockPool&& other) noexcept = default;
  BlockPool& operator=(BlockPool&& other) noexcept = default;
  ~BlockPool();

  const BlockLayout& layout() const { return layout_; }
  std::size_t capacity() const { return references_.size(); }
  std::size_t used_blocks() const { return capacity() - unused_blocks(); }
  // Not in use, whether there is memory for them or not.
  std::size_t unused_blocks() const { return free_.size() + bare_.size(); }
  // That take() can give now: with memory, or with room for it in the budget.
  std::size_t free_blocks() const;
  std::uint64_t used_bytes() const { return used_blocks() * layout_.bytes(); }
  std::uint64_t held_bytes() const { return (capacity() - bare_.size()) * layout_.bytes(); }

  // Fails (kUnavailable) when none is free.
  Result<BlockId> take();
  void add_reference(BlockId block);
  void release(BlockId block);
  void trim();  // gives the memory of free blocks back
  std::uint32_t references(BlockId block) const { return references_[block]; }
  std::byte* data(BlockId block) const { return pages_.data() + block * layout_.bytes(); }

 private:
  explicit BlockPool(KvBudget& budget) : budget_(&budget) {}
  BlockLayout layout_;
  Pages pages_;
  std::vector<std::uint32_t> references_;
  // Free ones that have memory (the last one given back is the first one taken: its pages are
  // warm), and those that have none.
  std::vector<BlockId> free_, bare_;
  KvBudget* budget_;
};

// The blocks of one sequence, in order. Releases them when it goes.
class BlockTable {
 public:
  explicit BlockTable(BlockPool& pool) : pool_(&pool) {}
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;
  ~BlockTable() { truncate(0); }

  // Shares every block up to `positions`; the first write of either side copies what it touches.
  BlockTable fork(std::size_t positions) const;
  // Makes positions [from, to) writable: takes blocks, copies shared ones. On failure nothing has
  // changed.
  Status prepare(std::size_t from, std::size_t to);
  // How many blocks prepare(from, to) would take.
  std::size_t blocks_needed(std::size_t from, std::size_t to) const;
  void truncate(std::size_t positions);  // drops the blocks beyond
  void append_shared(BlockId block);     // a block that somebody else filled; adds a reference

  std::span<const BlockId> blocks() const { return blocks_; }
  std::byte* data(std::size_t position) const { return pool_->data(blocks_[position / kChunk]); }

 private:
  BlockPool* pool_;
  std::vector<BlockId> blocks_;
};

}  // namespace lathe::infer
