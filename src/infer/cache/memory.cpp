// The memory of sequences in blocks.
#include "infer/cache/memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lathe::infer {

Result<MemoryStore> MemoryStore::create(MemoryLayout layout, std::size_t blocks, KvBudget& budget) {
  MemoryStore store(budget);
  const std::size_t all = layout.block_bytes();
  if (all != 0 && blocks > SIZE_MAX / all)
    return fail(ErrorKind::kUnavailable,
                "{} KV blocks of {} bytes are more than this machine can address", blocks, all);
  store.capacity_bytes_ = std::uint64_t{blocks} * all;
  for (const MemoryGroup& group : layout.groups()) {
    const std::size_t own = blocks * all / group.block_bytes;
    LATHE_TRY(BlockPool pool, BlockPool::create(group.block_bytes, own, budget));
    store.pools_.push_back(std::move(pool));
  }
  store.layout_ = std::move(layout);
  return store;
}

std::uint64_t MemoryStore::used_bytes() const {
  std::uint64_t bytes = 0;
  for (const BlockPool& pool : pools_) bytes += pool.used_bytes();
  return bytes;
}

std::uint64_t MemoryStore::held_bytes() const {
  std::uint64_t bytes = 0;
  for (const BlockPool& pool : pools_) bytes += pool.held_bytes();
  return bytes;
}

bool MemoryStore::has_addresses(const BlockCounts& blocks) const {
  for (std::size_t g = 0; g < pools_.size(); ++g)
    if (pools_[g].unused_blocks() < blocks[g]) return false;
  return true;
}

std::uint64_t MemoryStore::lacking(const BlockCounts& blocks) const {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < pools_.size(); ++g)
    bytes += (blocks[g] - std::min(blocks[g], pools_[g].warm_blocks())) * pools_[g].block_bytes();
  return bytes - std::min(bytes, budget_->free());
}

void MemoryStore::trim() {
  for (BlockPool& pool : pools_) pool.trim();
}

void MemoryStore::trim_beyond(const BlockCounts& blocks) {
  for (std::size_t g = 0; g < pools_.size(); ++g) pools_[g].trim(blocks[g]);
}

SequenceMemory::SequenceMemory(SequenceMemory&& other) noexcept
    : store_(other.store_), tables_(std::exchange(other.tables_, {})) {}

SequenceMemory& SequenceMemory::operator=(SequenceMemory&& other) noexcept {
  if (this == &other) return *this;
  clear();
  store_ = other.store_;
  tables_ = std::exchange(other.tables_, {});
  return *this;
}

SequenceMemory SequenceMemory::fork(std::size_t positions) const {
  SequenceMemory child(*store_);
  const std::size_t end = blocks_for(positions);
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    LATHE_CHECK(end <= tables_[g].end());
    for (std::size_t i = tables_[g].first; i < end; ++i) child.append_shared(g, i, *block(g, i));
  }
  return child;
}

BlockCounts SequenceMemory::blocks_needed(std::size_t from, std::size_t to) const {
  BlockCounts needed(tables_.size());
  for (std::size_t g = 0; g < tables_.size(); ++g)
    for (std::size_t i = from / kChunk; i * kChunk < to; ++i) {
      const auto held = block(g, i);
      if (!held || store_->pool(g).references(*held) > 1) ++needed[g];
    }
  return needed;
}

Status SequenceMemory::prepare(std::size_t from, std::size_t to) {
  const BlockCounts needed = blocks_needed(from, to);
  if (!store_->can_take(needed))
    return fail(ErrorKind::kUnavailable, "KV blocks for positions {} to {} are not free", from, to);
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    Table& table = tables_[g];
    BlockPool& pool = store_->pool(g);
    if (table.blocks.empty()) table.first = from / kChunk;
    for (std::size_t i = from / kChunk; i * kChunk < to; ++i) {
      if (i < table.end() && pool.references(table.blocks[i - table.first]) == 1) continue;
      LATHE_TRY(const BlockId fresh, pool.take());
      if (i < table.end()) {
        BlockId& old = table.blocks[i - table.first];
        std::memcpy(pool.data(fresh), pool.data(old), pool.block_bytes());
        pool.release(std::exchange(old, fresh));
      } else {
        table.blocks.push_back(fresh);
      }
    }
  }
  return {};
}

void SequenceMemory::settle(std::size_t positions) {
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    Table& table = tables_[g];
    // By whole blocks: what is put into the prefix index ends with one.
    const std::size_t window = store_->layout().groups()[g].window;
    const std::size_t oldest = oldest_visible(window, positions / kChunk * kChunk) / kChunk;
    const std::size_t gone = std::min(oldest - std::min(oldest, table.first), table.blocks.size());
    for (std::size_t i = 0; i < gone; ++i) store_->pool(g).release(table.blocks[i]);
    table.blocks.erase(table.blocks.begin(),
                       table.blocks.begin() + static_cast<std::ptrdiff_t>(gone));
    table.first += gone;
  }
}

void SequenceMemory::clear() {
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    for (const BlockId block : tables_[g].blocks) store_->pool(g).release(block);
    tables_[g] = {};
  }
}

std::uint64_t SequenceMemory::bytes_left(std::size_t computed, const Claim& claim) const {
  BlockCounts held(tables_.size());
  const BlockCounts needed = blocks_needed(computed, claim.positions);
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    if (store_->layout().groups()[g].window == 0) {
      held[g] = blocks_for(claim.positions) - needed[g];
      continue;
    }
    // What others hold too will be theirs one day.
    held[g] = static_cast<std::size_t>(std::ranges::count_if(
        tables_[g].blocks, [&](BlockId id) { return store_->pool(g).references(id) == 1; }));
  }
  return worst_case(store_->layout(), claim, held).total();
}

std::optional<BlockId> SequenceMemory::block(std::size_t group, std::size_t i) const {
  const Table& table = tables_[group];
  if (i < table.first || i >= table.end()) return std::nullopt;
  return table.blocks[i - table.first];
}

void SequenceMemory::append_shared(std::size_t group, std::size_t i, BlockId block) {
  Table& table = tables_[group];
  if (table.blocks.empty()) table.first = i;
  LATHE_CHECK(i == table.end());
  store_->pool(group).add_reference(block);
  table.blocks.push_back(block);
}

}  // namespace lathe::infer
