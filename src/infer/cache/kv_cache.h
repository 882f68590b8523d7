// The KV of one model: its blocks and what it remembers of earlier work, as a member of the budget
// that all models share. The engine's thread only.
#pragma once

#include <memory>

#include "infer/cache/prefix_index.h"

namespace lathe::infer {

class KvCache final : public KvBudget::Member {
 public:
  // At most `blocks` of every group at once and so many states, as far as the budget goes.
  static Result<std::unique_ptr<KvCache>> create(MemoryLayout layout, std::size_t blocks,
                                                 KvBudget& budget, std::size_t states = 0);
  ~KvCache() override;

  MemoryStore& store() { return store_; }
  const MemoryStore& store() const { return store_; }
  PrefixIndex& index() { return index_; }
  const PrefixIndex& index() const { return index_; }

  // All below in bytes. What running sequences may still take:
  void promise(std::uint64_t bytes) { promised_ = bytes; }
  // What running and new sequences together may come to take, as the others stand now.
  std::uint64_t admissible() const;
  // … if the others gave all back.
  std::uint64_t capacity() const;
  // Until so many blocks can be taken, or nothing is left to give.
  void make_room(const BlockCounts& blocks);
  // The same for one state more.
  void make_room_for_state();
  // Prefixes that nobody is using.
  std::uint64_t remembered_bytes() const;

  std::uint64_t bound_bytes() const override;
  void trim() override { store_.trim(); }
  std::optional<std::uint64_t> oldest() const override { return index_.oldest(); }
  void drop_oldest() override { index_.drop_oldest(); }

 private:
  KvCache(MemoryStore store, KvBudget& budget);

  KvBudget* budget_;
  MemoryStore store_;
  PrefixIndex index_;
  std::uint64_t promised_ = 0;
};

}  // namespace lathe::infer
