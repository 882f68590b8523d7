// The memory of sequences in blocks.
#include "infer/cache/memory.h"

#include <algorithm>
#include <utility>

namespace lathe::infer {

Result<MemoryStore> MemoryStore::create(MemoryLayout layout, std::size_t blocks, KvBudget& budget,
                                        std::size_t states) {
  MemoryStore store(budget);
  const std::size_t all = layout.block_bytes(), state = layout.state_bytes();
  if ((all != 0 && blocks > SIZE_MAX / 2 / all) || (state != 0 && states > SIZE_MAX / 2 / state))
    return fail(
        ErrorKind::kUnavailable,
        "{} KV blocks of {} bytes and {} states of {} are more than this machine can address",
        blocks, all, states, state);
  store.capacity_bytes_ = std::uint64_t{blocks} * all + std::uint64_t{states} * state;
  for (const MemoryGroup& group : layout.groups()) {
    const auto own = static_cast<std::size_t>(store.capacity_bytes_ / group.block_bytes);
    LATHE_TRY(BlockPool pool, BlockPool::create(group.block_bytes, own, budget));
    store.pools_.push_back(std::move(pool));
  }
  store.layout_ = std::move(layout);
  return store;
}

Result<MemoryStore> MemoryStore::mirror(MemoryLayout layout, const BlockCounts& blocks,
                                        KvBudget& budget) {
  MemoryStore store(budget);
  LATHE_CHECK(blocks.size() == layout.groups().size());
  for (std::size_t g = 0; g < blocks.size(); ++g) {
    LATHE_TRY(BlockPool pool, BlockPool::create(layout.groups()[g].block_bytes, blocks[g], budget));
    store.pools_.push_back(std::move(pool));
  }
  store.layout_ = std::move(layout);
  return store;
}

void MemoryStore::set_follower(BlockFollower* follower) {
  for (std::size_t g = 0; g < pools_.size(); ++g) pools_[g].set_follower(follower, g);
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
    : SequenceBlocks(*other.store_, std::exchange(other.tables_, {}),
                     std::exchange(other.state_, {})) {}

SequenceMemory& SequenceMemory::operator=(SequenceMemory&& other) noexcept {
  if (this == &other) return *this;
  clear();
  store_ = other.store_;
  tables_ = std::exchange(other.tables_, {});
  state_ = std::exchange(other.state_, {});
  return *this;
}

SequenceMemory SequenceMemory::fork(std::size_t positions) const {
  SequenceMemory child(*store_);
  const std::size_t end = blocks_for(positions);
  if (has_state()) {
    LATHE_CHECK(state_.at == positions && !state_.before);
    state_pool().add_reference(*state_.block);
    child.state_ = state_;
  }
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    if (store_->layout().groups()[g].state) continue;
    LATHE_CHECK(end <= tables_[g].end());
    for (std::size_t i = tables_[g].first; i < end; ++i) child.append_shared(g, i, *block(g, i));
  }
  return child;
}

BlockCounts SequenceMemory::blocks_needed(std::size_t from, std::size_t to, bool undo) const {
  BlockCounts needed(tables_.size());
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    if (store_->layout().groups()[g].state) {
      needed[g] = takes_state(undo) ? 1 : 0;
      continue;
    }
    for (std::size_t i = from / kChunk; i * kChunk < to; ++i) {
      const auto held = block(g, i);
      if (!held || store_->pool(g).references(*held) > 1) ++needed[g];
    }
  }
  return needed;
}

Status SequenceMemory::prepare(std::size_t from, std::size_t to, bool undo) {
  const BlockCounts needed = blocks_needed(from, to, undo);
  if (!store_->can_take(needed))
    return fail(ErrorKind::kUnavailable, "KV blocks for positions {} to {} are not free", from, to);
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    Table& table = tables_[g];
    BlockPool& pool = store_->pool(g);
    if (store_->layout().groups()[g].state) {
      LATHE_TRY_STATUS(prepare_state(from, to, undo));
      continue;
    }
    if (table.blocks.empty()) table.first = from / kChunk;
    for (std::size_t i = from / kChunk; i * kChunk < to; ++i) {
      if (i < table.end() && pool.references(table.blocks[i - table.first]) == 1) continue;
      LATHE_TRY(const BlockId fresh, pool.take());
      if (i < table.end()) {
        BlockId& old = table.blocks[i - table.first];
        pool.copy(old, fresh);
        pool.release(std::exchange(old, fresh));
      } else {
        table.blocks.push_back(fresh);
      }
    }
  }
  return {};
}

bool SequenceMemory::takes_state(bool undo) const {
  return !has_state() || undo || state_pool().references(*state_.block) > 1;
}

Status SequenceMemory::prepare_state(std::size_t from, std::size_t to, bool undo) {
  LATHE_CHECK(state_.at == from && !state_.before);
  if (takes_state(undo)) {
    BlockPool& pool = state_pool();
    LATHE_TRY(const BlockId fresh, pool.take());
    if (!has_state()) {
      pool.clear(fresh);
    } else {
      pool.copy(*state_.block, fresh);
      if (!undo) pool.release(*state_.block);
    }
    if (undo) {
      state_.before = state_.block;
      state_.before_at = from;
    }
    state_.block = fresh;
  }
  state_.at = to;
  return {};
}

std::size_t SequenceMemory::settle_state(std::size_t positions) {
  if (!has_state() || positions == state_.at) {
    if (state_.before) state_pool().release(*std::exchange(state_.before, std::nullopt));
    return positions;
  }
  LATHE_CHECK(positions < state_.at && state_.before);
  state_pool().release(*state_.block);
  state_ = {.block = state_.before, .at = state_.before_at, .before = {}, .before_at = 0};
  return state_.at;
}

void SequenceMemory::copy_state(BlockId from, std::size_t at) {
  BlockPool& pool = state_pool();
  LATHE_CHECK(has_state() && pool.references(*state_.block) == 1);
  pool.copy(from, *state_.block);
  state_.at = at;
}

std::size_t SequenceMemory::settle(std::size_t positions) {
  positions = settle_state(positions);
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
  return positions;
}

void SequenceMemory::clear() {
  for (const std::optional<BlockId>& block : {state_.block, state_.before})
    if (block) state_pool().release(*block);
  state_ = {};
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    for (const BlockId block : tables_[g].blocks) store_->pool(g).release(block);
    tables_[g] = {};
  }
}

std::uint64_t SequenceMemory::bytes_left(std::size_t computed, const Claim& claim) const {
  BlockCounts held(tables_.size());
  const BlockCounts needed = blocks_needed(computed, claim.positions);
  for (std::size_t g = 0; g < tables_.size(); ++g) {
    const MemoryGroup& group = store_->layout().groups()[g];
    if (group.state) {
      held[g] = has_state() && state_pool().references(*state_.block) == 1 ? 1 : 0;
      continue;
    }
    if (group.window == 0) {
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

void SequenceMemory::replace_shared(std::size_t group, std::size_t i, BlockId block) {
  BlockId& own = tables_[group].blocks[i - tables_[group].first];
  store_->pool(group).add_reference(block);
  store_->pool(group).release(std::exchange(own, block));
}

}  // namespace lathe::infer
