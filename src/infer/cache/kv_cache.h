// The KV of one model: its blocks and what it remembers of earlier work, as a member of the budget
// that all models share. The engine's thread only.
#pragma once

#include <memory>

#include "infer/cache/prefix_index.h"

namespace lathe::infer {

class KvCache final : public KvBudget::Member {
 public:
  // At most `blocks` at once, as far as the budget goes.
  static Result<std::unique_ptr<KvCache>> create(BlockLayout layout, std::size_t blocks,
                                                 KvBudget& budget);
  ~KvCache() override;

  BlockPool& pool() { return pool_; }
  const BlockPool& pool() const { return pool_; }
  PrefixIndex& index() { return index_; }
  const PrefixIndex& index() const { return index_; }

  // What running sequences may still take, in blocks.
  void promise(std::size_t blocks) { promised_ = blocks; }
  // Blocks that running and new sequences together may come to take, as the others stand now.
  std::size_t admissible() const;
  // … if the others gave all back.
  std::size_t capacity() const;
  // Until pool().take() will succeed so many times, or nothing is left to give.
  void make_room(std::size_t blocks);
  // Prefixes that nobody is using, in bytes.
  std::uint64_t remembered_bytes() const;

  std::uint64_t bound_bytes() const override;
  void trim() override { pool_.trim(); }
  std::optional<std::uint64_t> oldest() const override { return index_.oldest(); }
  void drop_oldest() override { index_.drop_oldest(); }

 private:
  KvCache(BlockPool pool, KvBudget& budget);
  std::size_t block_bytes() const { return std::max<std::size_t>(1, pool_.layout().bytes()); }

  KvBudget* budget_;
  BlockPool pool_;
  PrefixIndex index_;
  std::size_t promised_ = 0;
};

}  // namespace lathe::infer
