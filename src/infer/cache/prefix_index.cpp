// Known beginnings of token sequences, and the blocks that hold them.
#include "infer/cache/prefix_index.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <unordered_map>
#include <utility>

namespace lathe::infer {

struct PrefixIndex::Node {
  Node* parent = nullptr;
  std::vector<PositionKey> tokens;             // up to kChunk; only a full node has children
  std::vector<std::optional<BlockId>> blocks;  // by group
  PrefixSpace space = {};                      // the same in all of a chain
  std::uint64_t used = 0;
  Milliseconds kept_until{0};
  std::vector<std::unique_ptr<Node>> children;
};

PrefixIndex::PrefixIndex(MemoryStore& store, KvBudget& budget, const Clock& clock)
    : store_(&store), budget_(&budget), clock_(&clock), root_(std::make_unique<Node>()) {}

PrefixIndex::~PrefixIndex() {
  // Leaves first: a chain of many blocks must not be destroyed by recursion.
  std::vector<Node*> order{root_.get()};
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (auto& child : order[i]->children) order.push_back(child.get());
  }
  for (std::size_t i = order.size(); i-- > 1;) {
    release(*order[i], false);
    order[i]->children.clear();
  }
}

void PrefixIndex::release(Node& node, bool idle_parts_only) {
  for (std::size_t g = 0; g < node.blocks.size(); ++g) {
    if (!node.blocks[g] || (idle_parts_only && !is_idle_part(node, g))) continue;
    store_->pool(g).set_spare(*node.blocks[g], false);
    store_->pool(g).release(*node.blocks[g]);
    node.blocks[g].reset();
  }
}

// One that the node's prefix can do without.
bool PrefixIndex::is_idle_part(const Node& node, std::size_t group) const {
  return node.blocks[group] && !store_->layout().groups()[group].keeps_all() &&
         store_->pool(group).references(*node.blocks[group]) == 1;
}

// The child that shares most of its first tokens with `tokens`, and how many.
PrefixIndex::Node* PrefixIndex::find_child(Node& node, std::span<const PositionKey> tokens,
                                           PrefixSpace space, std::size_t& common) const {
  Node* best = nullptr;
  common = 0;
  for (auto& child : node.children) {
    if (child->space != space) continue;
    const std::size_t limit = std::min(child->tokens.size(), tokens.size());
    const auto begin = child->tokens.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(limit);
    const auto same =
        static_cast<std::size_t>(std::mismatch(begin, end, tokens.begin()).first - begin);
    if (same > common) {
      best = child.get();
      common = same;
    }
  }
  return best;
}

std::vector<PrefixIndex::Node*> PrefixIndex::follow(std::span<const PositionKey> tokens,
                                                    PrefixSpace space,
                                                    std::size_t& positions) const {
  std::vector<Node*> path;
  Node* node = root_.get();
  positions = 0;
  while (positions < tokens.size()) {
    std::size_t common = 0;
    node = find_child(*node, tokens.subspan(positions), space, common);
    if (node == nullptr) break;
    path.push_back(node);
    positions += common;
    if (common < kChunk) break;
  }
  return path;
}

std::optional<std::size_t> PrefixIndex::missing_block(std::span<Node* const> path,
                                                      std::size_t positions) const {
  const std::span<const MemoryGroup> groups = store_->layout().groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].state && positions != 0) {
      // A state stands behind a node's last token and nowhere else.
      const std::size_t last = blocks_for(positions) - 1;
      if (!path[last]->blocks[g] || positions != last * kChunk + path[last]->tokens.size())
        return last;
    }
    if (groups[g].state || groups[g].keeps_all()) continue;
    for (std::size_t i = oldest_visible(groups[g].window, positions) / kChunk;
         i < blocks_for(positions); ++i)
      if (!path[i]->blocks[g]) return i;
  }
  return std::nullopt;
}

std::size_t PrefixIndex::take(std::span<const PositionKey> tokens, std::size_t limit,
                              SequenceMemory& memory, PrefixSpace space) {
  const std::uint64_t now = budget_->tick();
  std::size_t positions = 0;
  const std::vector<Node*> path =
      follow(tokens.first(std::min(tokens.size(), limit)), space, positions);
  // A position in front of a missing block may be one that does not need it.
  while (const auto missing = missing_block(path, positions)) positions = *missing * kChunk;
  const std::span<const MemoryGroup> groups = store_->layout().groups();
  for (std::size_t i = 0; i < blocks_for(positions); ++i) {
    path[i]->used = now;
    for (std::size_t g = 0; g < groups.size(); ++g)
      if (!groups[g].state && i >= oldest_visible(groups[g].window, positions) / kChunk)
        memory.append_shared(g, i, *path[i]->blocks[g]);
  }
  if (const auto state = store_->layout().state_group(); state && positions != 0)
    memory.copy_state(*path[blocks_for(positions) - 1]->blocks[*state], positions);
  return positions;
}

// Whoever uses a node's block of any group uses its blocks of the groups that keep every position,
// and its parents': what two have computed, side by side, is there once from then on.
void PrefixIndex::share(const Node& node, SequenceMemory& memory, std::size_t block) {
  for (std::size_t g = 0; g < node.blocks.size(); ++g) {
    const std::optional<BlockId> own = memory.block(g, block);
    if (store_->layout().groups()[g].keeps_all() && own && own != node.blocks[g])
      memory.replace_shared(g, block, *node.blocks[g]);
  }
}

// The node's blocks become those that the sequence has there, as far as the node lacks them; its
// tokens end behind `positions` of the sequence.
void PrefixIndex::adopt(Node& node, const SequenceMemory& memory, std::size_t block,
                        std::size_t positions) {
  node.blocks.resize(store_->groups());
  for (std::size_t g = 0; g < node.blocks.size(); ++g) {
    if (node.blocks[g]) continue;
    if (store_->layout().groups()[g].state) {
      if (memory.has_state() && memory.state_at() == positions) adopt_state(node, g, memory);
      continue;
    }
    const std::optional<BlockId> own = memory.block(g, block);
    if (!own) continue;
    store_->pool(g).add_reference(*own);
    hold(node, g, *own);
  }
}

void PrefixIndex::hold(Node& node, std::size_t group, BlockId block) {
  node.blocks[group] = block;
  store_->pool(group).set_spare(block, true);
}

void PrefixIndex::adopt_state(Node& node, std::size_t group, const SequenceMemory& memory) {
  BlockPool& pool = store_->pool(group);
  if (pool.free_blocks() == 0) return;
  const Result<BlockId> copy = pool.take();
  if (!copy) return;
  pool.copy(memory.state_block(), *copy);
  hold(node, group, *copy);
}

void PrefixIndex::put(std::span<const PositionKey> tokens, SequenceMemory& memory,
                      PrefixSpace space) {
  const std::uint64_t now = budget_->tick();
  Node* node = root_.get();
  for (std::size_t i = 0; i * kChunk < tokens.size(); ++i) {
    const auto own = tokens.subspan(i * kChunk, std::min(kChunk, tokens.size() - i * kChunk));
    std::size_t common = 0;
    const std::size_t end = i * kChunk + own.size();
    Node* child = find_child(*node, own, space, common);
    if (child != nullptr && common == own.size()) {
      // Known already, perhaps with more tokens behind.
      if (child->tokens.size() == own.size()) adopt(*child, memory, i, end);
      if (own.size() == kChunk) share(*child, memory, i);
    } else if (child != nullptr && common == child->tokens.size()) {
      // Ours goes on where that one ends: ours replaces it. (It is a leaf, since it is not full.)
      child->tokens.assign(own.begin(), own.end());
      release(*child, false);
      adopt(*child, memory, i, end);
    } else {
      auto fresh = std::make_unique<Node>();
      fresh->parent = node;
      fresh->tokens.assign(own.begin(), own.end());
      fresh->space = space;
      adopt(*fresh, memory, i, end);
      child = fresh.get();
      node->children.push_back(std::move(fresh));
    }
    child->used = now;
    node = child;
  }
}

std::uint64_t PrefixIndex::bytes_of(std::span<const PositionKey> tokens, PrefixSpace space) const {
  std::uint64_t bytes = 0;
  std::size_t positions = 0;
  for (const Node* node : follow(tokens, space, positions))
    for (std::size_t g = 0; g < node->blocks.size(); ++g)
      if (node->blocks[g]) bytes += store_->pool(g).block_bytes();
  return bytes;
}

void PrefixIndex::keep(std::span<const PositionKey> tokens, Milliseconds until, PrefixSpace space) {
  const Milliseconds now = clock_->monotonic();
  std::erase_if(kept_, [&](const Node* node) { return node->kept_until <= now; });
  Node* node = root_.get();
  for (std::size_t i = 0; (i + 1) * kChunk <= tokens.size(); ++i) {
    std::size_t common = 0;
    node = find_child(*node, tokens.subspan(i * kChunk, kChunk), space, common);
    if (node == nullptr || common < kChunk) return;
    node->kept_until = std::max(node->kept_until, until);
    kept_.insert(node);
  }
}

template <class Visit>
void PrefixIndex::walk(const Visit& visit) const {
  std::vector<Node*> open{root_.get()};
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    for (auto& child : node->children) open.push_back(child.get());
    if (node != root_.get()) visit(*node);
  }
}

// Of all nodes that are kept; or those of it that nobody uses.
std::uint64_t PrefixIndex::kept_bytes(bool unused) const {
  std::uint64_t bytes = 0;
  const Milliseconds now = clock_->monotonic();
  for (const Node* node : kept_) {
    if (node->kept_until <= now) continue;
    for (std::size_t g = 0; g < node->blocks.size(); ++g)
      if (node->blocks[g] && !(unused && store_->pool(g).references(*node->blocks[g]) > 1))
        bytes += store_->pool(g).block_bytes();
  }
  return bytes;
}

std::uint64_t PrefixIndex::kept_bytes() const {
  return kept_bytes(false);
}

void PrefixIndex::keep_nothing() {
  for (Node* node : std::exchange(kept_, {})) node->kept_until = Milliseconds(0);
}

// Asked for several times a step, so nothing is walked.
std::uint64_t PrefixIndex::reclaimable_bytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < store_->groups(); ++g)
    bytes += store_->pool(g).spare_blocks() * store_->pool(g).block_bytes();
  return bytes - kept_bytes(true);
}

bool PrefixIndex::is_leaf_to_drop(const Node& node) const {
  if (!node.children.empty()) return false;
  for (std::size_t g = 0; g < node.blocks.size(); ++g)
    if (node.blocks[g] && store_->pool(g).references(*node.blocks[g]) > 1) return false;
  return true;
}

bool PrefixIndex::has_parts_to_drop(const Node& node) const {
  for (std::size_t g = 0; g < node.blocks.size(); ++g)
    if (is_idle_part(node, g)) return true;
  return false;
}

// A walk over all nodes: reclaiming is rare, and one walk costs less than one block of prefill.
PrefixIndex::Node* PrefixIndex::oldest_node() const {
  Node* oldest = nullptr;
  const Milliseconds now = clock_->monotonic();
  walk([&](Node& node) {
    if (node.kept_until > now || (oldest != nullptr && oldest->used <= node.used)) return;
    if (is_leaf_to_drop(node) || has_parts_to_drop(node)) oldest = &node;
  });
  return oldest;
}

std::optional<std::uint64_t> PrefixIndex::oldest() const {
  const Node* node = oldest_node();
  return node == nullptr ? std::nullopt : std::optional(node->used);
}

bool PrefixIndex::drop_oldest() {
  Node* node = oldest_node();
  if (node == nullptr) return false;
  if (is_leaf_to_drop(*node))
    remove_leaf(*node);
  else
    release(*node, true);
  return true;
}

void PrefixIndex::remove_leaf(Node& node) {
  release(node, false);
  kept_.erase(&node);
  auto& siblings = node.parent->children;
  siblings.erase(std::ranges::find(siblings, &node, &std::unique_ptr<Node>::get));
}

void PrefixIndex::forget(std::span<const PositionKey> tokens, PrefixSpace space) {
  std::size_t positions = 0;
  const std::vector<Node*> path = follow(tokens, space, positions);
  if (path.empty() || !path.back()->children.empty()) return;
  if (path.back()->kept_until <= clock_->monotonic()) remove_leaf(*path.back());
}

std::vector<PrefixIndex::Entry> PrefixIndex::entries() const {
  std::vector<const Node*> nodes;
  walk([&](const Node& node) {
    if (node.space.weights == 0) nodes.push_back(&node);
  });
  // A walk meets parents first, and whoever uses a block uses its parents.
  std::ranges::stable_sort(nodes, std::greater{}, &Node::used);
  std::unordered_map<const Node*, std::int64_t> place{{root_.get(), -1}};
  std::vector<Entry> entries;
  for (const Node* node : nodes) {
    place[node] = static_cast<std::int64_t>(entries.size());
    entries.push_back({place.at(node->parent), node->space.owner, node->tokens, node->blocks});
  }
  return entries;
}

void PrefixIndex::restore(std::span<const Entry> entries) {
  LATHE_CHECK(root_->children.empty());
  std::vector<Node*> nodes;
  for (const Entry& entry : entries) {
    Node* parent =
        entry.parent < 0 ? root_.get() : nodes.at(static_cast<std::size_t>(entry.parent));
    auto fresh = std::make_unique<Node>();
    fresh->parent = parent;
    fresh->space.owner = entry.owner;
    fresh->tokens = entry.tokens;
    fresh->blocks.resize(entry.blocks.size());
    for (std::size_t g = 0; g < entry.blocks.size(); ++g) {
      if (!entry.blocks[g]) continue;
      store_->pool(g).add_reference(*entry.blocks[g]);
      hold(*fresh, g, *entry.blocks[g]);
    }
    nodes.push_back(fresh.get());
    parent->children.push_back(std::move(fresh));
  }
  for (std::size_t i = nodes.size(); i-- > 0;) nodes[i]->used = budget_->tick();
}

}  // namespace lathe::infer
