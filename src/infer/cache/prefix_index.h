// Which token prefixes have their KV in the pool: a radix tree with one block of tokens a node.
// Sequences put their blocks in when they end (or pause); a new prompt takes over what it shares,
// to the token: a block that agrees only in its first tokens is taken too, and copied when it is
// written. The index holds one reference to each of its blocks and gives the least recently used
// leaves back, but for those that are kept for a while. The engine's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ground/base/clock.h"
#include "infer/cache/block_pool.h"

namespace lathe::infer {

class PrefixIndex {
 public:
  // `budget` counts the uses, so that those of several models can be compared.
  PrefixIndex(BlockPool& pool, KvBudget& budget, const Clock& clock = system_clock());
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  // `weights` says what the KV was computed with: 0, or the id of an adapter. One is never taken
  // for another.
  //
  // The longest known prefix of `tokens`, at most `limit` positions: appends its blocks to `table`
  // (which is empty) and returns the number of positions.
  std::size_t take(std::span<const std::int32_t> tokens, std::size_t limit, BlockTable& table,
                   std::uint64_t weights = 0);
  // Remembers the blocks of a sequence; tokens.size() positions of `table` are filled. A partly
  // filled last block is kept too.
  void put(std::span<const std::int32_t> tokens, const BlockTable& table,
           std::uint64_t weights = 0);
  // The whole blocks of this prefix stay until then (Clock::monotonic), whatever else runs.
  void keep(std::span<const std::int32_t> tokens, Milliseconds until, std::uint64_t weights = 0);
  std::size_t kept() const;  // blocks
  void keep_nothing();       // what was to be kept is remembered like the rest

  // When the least recently used leaf that nobody else uses and nobody keeps was used.
  std::optional<std::uint64_t> oldest() const;
  bool drop_oldest();  // false: there is none
  // How many blocks drop_oldest() could free.
  std::size_t reclaimable() const;

  // All that the model computed without an adapter, parents first, the most recently used first.
  struct Entry {
    std::int64_t parent = -1;  // index among the entries; -1: the root
    std::vector<std::int32_t> tokens;
    BlockId block = 0;
  };
  std::vector<Entry> entries() const;
  // Into an empty index: takes a reference to each block.
  void restore(std::span<const Entry> entries);

 private:
  struct Node;
  Node* find_child(Node& node, std::span<const std::int32_t> tokens, std::uint64_t weights,
                   std::size_t& common) const;
  Node* oldest_leaf() const;
  template <class Visit>
  void walk(const Visit& visit) const;

  BlockPool* pool_;
  KvBudget* budget_;
  const Clock* clock_;
  std::unique_ptr<Node> root_;
};

}  // namespace lathe::infer
