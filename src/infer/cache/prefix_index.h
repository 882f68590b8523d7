// Which token prefixes have their KV in the pool: a radix tree with one block of tokens a node.
// Sequences put their blocks in when they end (or pause); a new prompt takes over what it shares,
// to the token: a block that agrees only in its first tokens is taken too, and copied when it is
// written. The index holds one reference to each of its blocks; when the pool runs dry it gives the
// least recently used leaves back. The engine's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "infer/cache/block_pool.h"

namespace lathe {

class PrefixIndex {
 public:
  explicit PrefixIndex(BlockPool& pool);
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  // The longest known prefix of `tokens`, at most `limit` positions: appends its blocks to `table`
  // (which is empty) and returns the number of positions.
  std::size_t take(std::span<const std::int32_t> tokens, std::size_t limit, BlockTable& table);
  // Remembers the blocks of a sequence; tokens.size() positions of `table` are filled. A partly
  // filled last block is kept too.
  void put(std::span<const std::int32_t> tokens, const BlockTable& table);
  // Frees blocks that nobody else uses until `blocks` are free in the pool or nothing is
  // left to give.
  void reclaim(std::size_t blocks);
  // How many blocks reclaim() could free.
  std::size_t reclaimable() const;

 private:
  struct Node;
  Node* find_child(Node& node, std::span<const std::int32_t> tokens, std::size_t& common) const;
  void drop(Node* leaf);

  BlockPool* pool_;
  std::unique_ptr<Node> root_;
  std::uint64_t now_ = 0;
};

}  // namespace lathe
