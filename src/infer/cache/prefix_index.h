// Which prefixes have their KV in the store: a radix tree with one block of positions a node.
// Sequences put their blocks in when they end (or pause); a new prompt takes over what it shares,
// to the token: a block that agrees only in its first tokens is taken too, and copied when it is
// written. Of layers with a window a node has a block only where a sequence still had one when it
// was put in: a prompt goes on from the last position whose windows are all there. The index holds
// one reference to each of its blocks and gives the least recently used back, but for those that
// are kept for a while. The engine's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ground/base/clock.h"
#include "infer/cache/memory.h"

namespace lathe::infer {

// What stands at a position of a sequence: its token's id, or a number above all ids for what is no
// token. Two prefixes are one if all their keys are.
using PositionKey = std::uint64_t;

class PrefixIndex {
 public:
  // `budget` counts the uses, so that those of several models can be compared.
  PrefixIndex(MemoryStore& store, KvBudget& budget, const Clock& clock = system_clock());
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  // `weights` says what the KV was computed with: 0, or the id of an adapter. One is never taken
  // for another.
  //
  // The longest known prefix of `tokens`, at most `limit` positions: appends its blocks to `memory`
  // (which is empty) and returns the number of positions.
  std::size_t take(std::span<const PositionKey> tokens, std::size_t limit, SequenceMemory& memory,
                   std::uint64_t weights = 0);
  // Remembers the blocks of a sequence; tokens.size() positions of `memory` are filled. A partly
  // filled last block is kept too.
  void put(std::span<const PositionKey> tokens, const SequenceMemory& memory,
           std::uint64_t weights = 0);
  // The whole blocks of this prefix stay until then (Clock::monotonic), whatever else runs.
  void keep(std::span<const PositionKey> tokens, Milliseconds until, std::uint64_t weights = 0);
  std::uint64_t kept_bytes() const;
  void keep_nothing();  // what was to be kept is remembered like the rest

  // When the least recently used blocks that nobody else uses and nobody keeps were used: a leaf's,
  // or of any node those of windows.
  std::optional<std::uint64_t> oldest() const;
  bool drop_oldest();  // false: there are none
  // How much drop_oldest() could free.
  std::uint64_t reclaimable_bytes() const;

  // All that the model computed without an adapter, parents first, the most recently used first.
  struct Entry {
    std::int64_t parent = -1;  // index among the entries; -1: the root
    std::vector<PositionKey> tokens;
    std::vector<std::optional<BlockId>> blocks = {};  // by group
  };
  std::vector<Entry> entries() const;
  // Into an empty index: takes a reference to each block.
  void restore(std::span<const Entry> entries);

 private:
  struct Node;
  Node* find_child(Node& node, std::span<const PositionKey> tokens, std::uint64_t weights,
                   std::size_t& common) const;
  // The nodes that agree with `tokens`, one after the other, and for how many positions.
  std::vector<Node*> follow(std::span<const PositionKey> tokens, std::uint64_t weights,
                            std::size_t& positions) const;
  // One that a sequence would need to go on behind so many positions, if any is.
  std::optional<std::size_t> missing_block(std::span<Node* const> path,
                                           std::size_t positions) const;
  void adopt(Node& node, const SequenceMemory& memory, std::size_t block);
  void release(Node& node, bool idle_windows_only);
  bool is_idle_window(const Node& node, std::size_t group) const;
  bool is_leaf_to_drop(const Node& node) const;
  bool has_windows_to_drop(const Node& node) const;
  Node* oldest_node() const;
  template <class Visit>
  void walk(const Visit& visit) const;

  MemoryStore* store_;
  KvBudget* budget_;
  const Clock* clock_;
  std::unique_ptr<Node> root_;
};

}  // namespace lathe::infer
