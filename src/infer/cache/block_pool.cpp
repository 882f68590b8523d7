// Blocks of KV memory, shared by count of references.
#include "infer/cache/block_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lathe::infer {

Result<BlockPool> BlockPool::create(std::size_t block_bytes, std::size_t blocks, KvBudget& budget) {
  BlockPool pool(budget);
  if (block_bytes != 0 && blocks > SIZE_MAX / block_bytes) {
    return fail(ErrorKind::kUnavailable,
                "{} KV blocks of {} bytes are more than this machine can address", blocks,
                block_bytes);
  }
  LATHE_TRY(pool.pages_, Pages::allocate(block_bytes * blocks));
  pool.block_bytes_ = block_bytes;
  pool.references_.assign(blocks, 0);
  pool.spare_.assign(blocks, false);
  pool.bare_.reserve(blocks);
  for (std::size_t i = blocks; i-- > 0;) pool.bare_.push_back(static_cast<BlockId>(i));
  return pool;
}

BlockPool::~BlockPool() {
  if (pages_.data() != nullptr) budget_->give(held_bytes());
}

std::size_t BlockPool::free_blocks() const {
  const std::uint64_t room = budget_->free() / std::max<std::size_t>(1, block_bytes_);
  return free_.size() + static_cast<std::size_t>(std::min<std::uint64_t>(bare_.size(), room));
}

Result<BlockId> BlockPool::take() {
  if (free_blocks() == 0) {
    return fail(ErrorKind::kUnavailable, "{} of {} KV blocks are in use, and no memory is left",
                used_blocks(), capacity());
  }
  std::vector<BlockId>& from = free_.empty() ? bare_ : free_;
  if (free_.empty()) budget_->take(block_bytes_);
  const BlockId block = from.back();
  from.pop_back();
  references_[block] = 1;
  return block;
}

void BlockPool::trim(std::size_t keep) {
  for (std::size_t i = keep; i < free_.size(); ++i) {
    discard(free_[i]);
    budget_->give(block_bytes_);
    bare_.push_back(free_[i]);
  }
  free_.resize(std::min(free_.size(), keep));
}

void BlockPool::copy(BlockId from, BlockId to) {
  std::memcpy(data(to), data(from), block_bytes_);
  if (follower_ != nullptr) follower_->copied(group_, from, to);
}

void BlockPool::clear(BlockId block) {
  std::memset(data(block), 0, block_bytes_);
  if (follower_ != nullptr) follower_->cleared(group_, block);
}

void BlockPool::discard(BlockId block) {
  discard_pages(data(block), block_bytes_);
  if (follower_ != nullptr) follower_->discarded(group_, block);
}

void BlockPool::set_follower(BlockFollower* follower, std::size_t group) {
  follower_ = follower;
  group_ = group;
}

void BlockPool::add_reference(BlockId block) {
  LATHE_CHECK(references_[block] > 0);
  if (spare_[block] && references_[block] == 1) --spare_blocks_;
  ++references_[block];
}

void BlockPool::release(BlockId block) {
  LATHE_CHECK(references_[block] > 0);
  if (--references_[block] == 0) {
    LATHE_CHECK(!spare_[block]);  // who holds it says first that it is none any more
    free_.push_back(block);
  } else if (spare_[block] && references_[block] == 1) {
    ++spare_blocks_;
  }
}

void BlockPool::set_spare(BlockId block, bool spare) {
  LATHE_CHECK(references_[block] > 0);
  if (spare_[block] == spare) return;
  spare_[block] = spare;
  if (references_[block] != 1) return;
  if (spare)
    ++spare_blocks_;
  else
    --spare_blocks_;
}

}  // namespace lathe::infer
