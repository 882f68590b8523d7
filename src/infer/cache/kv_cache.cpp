// The KV of one model: its blocks, and what it remembers of earlier work.
#include "infer/cache/kv_cache.h"

#include <algorithm>

namespace lathe::infer {

Result<std::unique_ptr<KvCache>> KvCache::create(BlockLayout layout, std::size_t blocks,
                                                 KvBudget& budget) {
  LATHE_TRY(BlockPool pool, BlockPool::create(std::move(layout), blocks, budget));
  return std::unique_ptr<KvCache>(new KvCache(std::move(pool), budget));
}

KvCache::KvCache(BlockPool pool, KvBudget& budget)
    : budget_(&budget), pool_(std::move(pool)), index_(pool_, budget) {
  budget.join(*this);
}

KvCache::~KvCache() {
  budget_->leave(*this);
}

std::uint64_t KvCache::bound_bytes() const {
  return (pool_.used_blocks() - index_.reclaimable() + promised_) * pool_.layout().bytes();
}

std::size_t KvCache::admissible() const {
  const std::size_t bound = pool_.used_blocks() - index_.reclaimable();
  const std::uint64_t share = budget_->share_of(*this) / block_bytes();
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(pool_.capacity(), share));
  return most - std::min(most, bound);
}

std::size_t KvCache::capacity() const {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(pool_.capacity(), budget_->limit() / block_bytes()));
}

void KvCache::make_room(std::size_t blocks) {
  while (pool_.free_blocks() < blocks) {
    const std::size_t before = pool_.free_blocks();
    if (pool_.unused_blocks() < blocks) {
      index_.drop_oldest();
    } else {
      budget_->make_room(budget_->free() + block_bytes(), this);
    }
    if (pool_.free_blocks() == before) return;
  }
}

std::uint64_t KvCache::remembered_bytes() const {
  return index_.reclaimable() * pool_.layout().bytes();
}

}  // namespace lathe::infer
