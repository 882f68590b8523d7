// The KV of one model: its blocks, and what it remembers of earlier work.
#include "infer/cache/kv_cache.h"

#include <algorithm>

namespace lathe::infer {

Result<std::unique_ptr<KvCache>> KvCache::create(MemoryLayout layout, std::size_t blocks,
                                                 KvBudget& budget, std::size_t states) {
  LATHE_TRY(MemoryStore store, MemoryStore::create(std::move(layout), blocks, budget, states));
  return std::unique_ptr<KvCache>(new KvCache(std::move(store), budget));
}

KvCache::KvCache(MemoryStore store, KvBudget& budget)
    : budget_(&budget), store_(std::move(store)), index_(store_, budget) {
  budget.join(*this);
}

KvCache::~KvCache() {
  budget_->leave(*this);
}

std::uint64_t KvCache::bound_bytes() const {
  return store_.used_bytes() - index_.reclaimable_bytes() + promised_;
}

std::uint64_t KvCache::admissible() const {
  const std::uint64_t bound = store_.used_bytes() - index_.reclaimable_bytes();
  const std::uint64_t most = std::min(store_.capacity_bytes(), budget_->share_of(*this));
  return most - std::min(most, bound);
}

std::uint64_t KvCache::capacity() const {
  return std::min(store_.capacity_bytes(), budget_->limit());
}

void KvCache::make_room(const BlockCounts& blocks) {
  while (!store_.can_take(blocks)) {
    if (!store_.has_addresses(blocks)) {
      if (!index_.drop_oldest()) return;
      continue;
    }
    // Memory of another group's free blocks is as good as any.
    store_.trim_beyond(blocks);
    const std::uint64_t before = store_.lacking(blocks);
    if (before == 0) return;
    budget_->make_room(budget_->free() + 1, this);
    if (store_.lacking(blocks) == before && !index_.oldest()) return;
  }
}

void KvCache::make_room_for_state() {
  const std::optional<std::size_t> group = store_.layout().state_group();
  if (!group) return;
  BlockCounts one(store_.groups());
  one[*group] = 1;
  make_room(one);
}

std::uint64_t KvCache::remembered_bytes() const {
  return index_.reclaimable_bytes();
}

}  // namespace lathe::infer
