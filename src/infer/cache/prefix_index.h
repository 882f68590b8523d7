// Which prefixes have their KV in the store: a radix tree with one block of positions a node.
// Sequences put their blocks in when they end (or pause); a new prompt takes over what it shares,
// to the token: a block that agrees only in its first tokens is taken too, and copied when it is
// written. Of layers with a window a node has a block only where a sequence still had one when it
// was put in, and a state, which stands behind its last token, only where one stood there: a prompt
// goes on from the last position for which all of that is there. The index holds one reference to
// each of its blocks and gives the least recently used back, but for those that are kept for a
// while; a state it has is its own copy. The engine's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "ground/base/clock.h"
#include "infer/cache/memory.h"

namespace lathe::infer {

// What stands at a position of a sequence: its token's id, or a number above all ids for what is no
// token. Two prefixes are one if all their keys are.
using PositionKey = std::uint64_t;

// Prefixes of two of these are never taken for one another.
struct PrefixSpace {
  std::uint64_t weights = 0;  // what the KV was computed with: 0, or the id of an adapter
  // Whose it is, where that is to stay unknown to others: how long an answer takes would tell what
  // somebody else has asked. 0: everybody's.
  std::uint64_t owner = 0;
  bool operator==(const PrefixSpace&) const = default;
};

class PrefixIndex {
 public:
  // `budget` counts the uses, so that those of several models can be compared.
  PrefixIndex(MemoryStore& store, KvBudget& budget, const Clock& clock = system_clock());
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  // The longest known prefix of `tokens`, at most `limit` positions: appends its blocks to `memory`
  // (which is empty, but for the state that prepare(0, 0) gave it: the prefix's is copied into
  // that) and returns the number of positions.
  std::size_t take(std::span<const PositionKey> tokens, std::size_t limit, SequenceMemory& memory,
                   PrefixSpace space = {});
  // Remembers the blocks of a sequence; tokens.size() positions of `memory` are filled. A partly
  // filled last block is kept too; and its state if it stands there and a block for a copy is free.
  // Where it had computed what was known by then, it goes on with the known blocks.
  void put(std::span<const PositionKey> tokens, SequenceMemory& memory, PrefixSpace space = {});
  // The bytes of what it has of this prefix.
  std::uint64_t bytes_of(std::span<const PositionKey> tokens, PrefixSpace space = {}) const;
  // The whole blocks of this prefix stay until then (Clock::monotonic), whatever else runs.
  void keep(std::span<const PositionKey> tokens, Milliseconds until, PrefixSpace space = {});
  std::uint64_t kept_bytes() const;
  void keep_nothing();  // what was to be kept is remembered like the rest

  // When the least recently used blocks that nobody else uses and nobody keeps were used: a leaf's,
  // or of any node those of windows and states.
  std::optional<std::uint64_t> oldest() const;
  bool drop_oldest();  // false: there are none
  // Gives up the last block of this prefix, if nothing stands behind it and nobody keeps it: a
  // sequence that shares it has it for itself then and need not copy it.
  void forget(std::span<const PositionKey> tokens, PrefixSpace space = {});
  // How much drop_oldest() could free.
  std::uint64_t reclaimable_bytes() const;

  // All that the model computed without an adapter, parents first, the most recently used first.
  struct Entry {
    std::int64_t parent = -1;  // index among the entries; -1: the root
    std::uint64_t owner = 0;
    std::vector<PositionKey> tokens;
    std::vector<std::optional<BlockId>> blocks = {};  // by group
  };
  std::vector<Entry> entries() const;
  // Into an empty index: takes a reference to each block.
  void restore(std::span<const Entry> entries);

 private:
  struct Node;
  Node* find_child(Node& node, std::span<const PositionKey> tokens, PrefixSpace space,
                   std::size_t& common) const;
  // The nodes that agree with `tokens`, one after the other, and for how many positions.
  std::vector<Node*> follow(std::span<const PositionKey> tokens, PrefixSpace space,
                            std::size_t& positions) const;
  // One that a sequence would need to go on behind so many positions, if any is.
  std::optional<std::size_t> missing_block(std::span<Node* const> path,
                                           std::size_t positions) const;
  void share(const Node& node, SequenceMemory& memory, std::size_t block);
  void adopt(Node& node, const SequenceMemory& memory, std::size_t block, std::size_t positions);
  void adopt_state(Node& node, std::size_t group, const SequenceMemory& memory);
  // The node's block from now on; the reference to it is the node's too.
  void hold(Node& node, std::size_t group, BlockId block);
  void release(Node& node, bool idle_parts_only);
  bool is_idle_part(const Node& node, std::size_t group) const;
  bool is_leaf_to_drop(const Node& node) const;
  bool has_parts_to_drop(const Node& node) const;
  Node* oldest_node() const;
  void remove_leaf(Node& node);
  std::uint64_t kept_bytes(bool unused) const;
  template <class Visit>
  void walk(const Visit& visit) const;

  MemoryStore* store_;
  KvBudget* budget_;
  const Clock* clock_;
  std::unique_ptr<Node> root_;
  std::unordered_set<Node*> kept_;  // that were to be kept; some no longer are
};

}  // namespace lathe::infer
