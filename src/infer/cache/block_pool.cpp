// Blocks of KV memory, shared by count of references.
#include "infer/cache/block_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lathe::infer {

Result<BlockPool> BlockPool::create(BlockLayout layout, std::size_t blocks, KvBudget& budget) {
  BlockPool pool(budget);
  if (layout.bytes() != 0 && blocks > SIZE_MAX / layout.bytes()) {
    return fail(ErrorKind::kUnavailable,
                "{} KV blocks of {} bytes are more than this machine can address", blocks,
                layout.bytes());
  }
  LATHE_TRY(pool.pages_, Pages::allocate(layout.bytes() * blocks));
  pool.layout_ = std::move(layout);
  pool.references_.assign(blocks, 0);
  pool.bare_.reserve(blocks);
  for (std::size_t i = blocks; i-- > 0;) pool.bare_.push_back(static_cast<BlockId>(i));
  return pool;
}

BlockPool::~BlockPool() {
  if (pages_.data() != nullptr) budget_->give(held_bytes());
}

std::size_t BlockPool::free_blocks() const {
  const std::uint64_t room = budget_->free() / std::max<std::size_t>(1, layout_.bytes());
  return free_.size() + static_cast<std::size_t>(std::min<std::uint64_t>(bare_.size(), room));
}

Result<BlockId> BlockPool::take() {
  if (free_blocks() == 0) {
    return fail(ErrorKind::kUnavailable, "{} of {} KV blocks are in use, and no memory is left",
                used_blocks(), capacity());
  }
  std::vector<BlockId>& from = free_.empty() ? bare_ : free_;
  if (free_.empty()) budget_->take(layout_.bytes());
  const BlockId block = from.back();
  from.pop_back();
  references_[block] = 1;
  return block;
}

void BlockPool::trim() {
  for (const BlockId block : free_) {
    discard_pages(data(block), layout_.bytes());
    budget_->give(layout_.bytes());
    bare_.push_back(block);
  }
  free_.clear();
}

void BlockPool::add_reference(BlockId block) {
  LATHE_CHECK(references_[block] > 0);
  ++references_[block];
}

void BlockPool::release(BlockId block) {
  LATHE_CHECK(references_[block] > 0);
  if (--references_[block] == 0) free_.push_back(block);
}

BlockTable::BlockTable(BlockTable&& other) noexcept
    : pool_(other.pool_), blocks_(std::exchange(other.blocks_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this == &other) return *this;
  truncate(0);
  pool_ = other.pool_;
  blocks_ = std::exchange(other.blocks_, {});
  return *this;
}

BlockTable BlockTable::fork(std::size_t positions) const {
  BlockTable child(*pool_);
  const std::size_t count = (positions + kChunk - 1) / kChunk;
  LATHE_CHECK(count <= blocks_.size());
  for (std::size_t i = 0; i < count; ++i) child.append_shared(blocks_[i]);
  return child;
}

std::size_t BlockTable::blocks_needed(std::size_t from, std::size_t to) const {
  std::size_t needed = 0;
  for (std::size_t i = from / kChunk; i * kChunk < to; ++i) {
    if (i >= blocks_.size() || pool_->references(blocks_[i]) > 1) ++needed;
  }
  return needed;
}

Status BlockTable::prepare(std::size_t from, std::size_t to) {
  const std::size_t needed = blocks_needed(from, to);
  if (needed > pool_->free_blocks()) {
    return fail(ErrorKind::kUnavailable, "{} KV blocks are needed and {} of {} are free", needed,
                pool_->free_blocks(), pool_->capacity());
  }
  for (std::size_t i = from / kChunk; i * kChunk < to; ++i) {
    if (i < blocks_.size() && pool_->references(blocks_[i]) == 1) continue;
    LATHE_TRY(const BlockId fresh, pool_->take());
    if (i < blocks_.size()) {
      std::memcpy(pool_->data(fresh), pool_->data(blocks_[i]), pool_->layout().bytes());
      pool_->release(blocks_[i]);
      blocks_[i] = fresh;
    } else {
      blocks_.push_back(fresh);
    }
  }
  return {};
}

void BlockTable::truncate(std::size_t positions) {
  const std::size_t keep = (positions + kChunk - 1) / kChunk;
  while (blocks_.size() > keep) {
    pool_->release(blocks_.back());
    blocks_.pop_back();
  }
}

void BlockTable::append_shared(BlockId block) {
  pool_->add_reference(block);
  blocks_.push_back(block);
}

}  // namespace lathe::infer
