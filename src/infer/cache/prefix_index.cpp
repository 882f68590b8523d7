// Known beginnings of token sequences, and the blocks that hold them.
#include "infer/cache/prefix_index.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

namespace lathe::infer {

struct PrefixIndex::Node {
  Node* parent = nullptr;
  std::vector<std::int32_t> tokens;  // up to kChunk; only a full node has children
  BlockId block = 0;
  std::uint64_t weights = 0;  // what computed it; the same in all of a chain
  std::uint64_t used = 0;
  Milliseconds kept_until{0};
  std::vector<std::unique_ptr<Node>> children;
};

PrefixIndex::PrefixIndex(BlockPool& pool, KvBudget& budget, const Clock& clock)
    : pool_(&pool), budget_(&budget), clock_(&clock), root_(std::make_unique<Node>()) {}

PrefixIndex::~PrefixIndex() {
  // Leaves first: a chain of many blocks must not be destroyed by recursion.
  std::vector<Node*> order{root_.get()};
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (auto& child : order[i]->children) order.push_back(child.get());
  }
  for (std::size_t i = order.size(); i-- > 1;) {
    pool_->release(order[i]->block);
    order[i]->children.clear();
  }
}

// The child that shares most of its first tokens with `tokens`, and how many.
PrefixIndex::Node* PrefixIndex::find_child(Node& node, std::span<const std::int32_t> tokens,
                                           std::uint64_t weights, std::size_t& common) const {
  Node* best = nullptr;
  common = 0;
  for (auto& child : node.children) {
    if (child->weights != weights) continue;
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

std::size_t PrefixIndex::take(std::span<const std::int32_t> tokens, std::size_t limit,
                              BlockTable& table, std::uint64_t weights) {
  tokens = tokens.first(std::min(tokens.size(), limit));
  const std::uint64_t now = budget_->tick();
  std::size_t positions = 0;
  Node* node = root_.get();
  while (positions < tokens.size()) {
    std::size_t common = 0;
    node = find_child(*node, tokens.subspan(positions), weights, common);
    if (node == nullptr) break;
    node->used = now;
    table.append_shared(node->block);
    positions += common;
    if (common < kChunk) break;
  }
  return positions;
}

void PrefixIndex::put(std::span<const std::int32_t> tokens, const BlockTable& table,
                      std::uint64_t weights) {
  const std::uint64_t now = budget_->tick();
  Node* node = root_.get();
  for (std::size_t i = 0; i * kChunk < tokens.size(); ++i) {
    const auto own = tokens.subspan(i * kChunk, std::min(kChunk, tokens.size() - i * kChunk));
    std::size_t common = 0;
    Node* child = find_child(*node, own, weights, common);
    if (child != nullptr && common == own.size()) {
      // Known already, perhaps with more tokens behind.
    } else if (child != nullptr && common == child->tokens.size()) {
      // Ours goes on where that one ends: ours replaces it. (It is a leaf, since it is not full.)
      child->tokens.assign(own.begin(), own.end());
      pool_->add_reference(table.blocks()[i]);
      pool_->release(child->block);
      child->block = table.blocks()[i];
    } else {
      auto fresh = std::make_unique<Node>();
      fresh->parent = node;
      fresh->tokens.assign(own.begin(), own.end());
      fresh->block = table.blocks()[i];
      fresh->weights = weights;
      pool_->add_reference(fresh->block);
      child = fresh.get();
      node->children.push_back(std::move(fresh));
    }
    child->used = now;
    node = child;
  }
}

void PrefixIndex::keep(std::span<const std::int32_t> tokens, Milliseconds until,
                       std::uint64_t weights) {
  Node* node = root_.get();
  for (std::size_t i = 0; (i + 1) * kChunk <= tokens.size(); ++i) {
    std::size_t common = 0;
    node = find_child(*node, tokens.subspan(i * kChunk, kChunk), weights, common);
    if (node == nullptr || common < kChunk) return;
    node->kept_until = std::max(node->kept_until, until);
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

std::size_t PrefixIndex::kept() const {
  std::size_t count = 0;
  const Milliseconds now = clock_->monotonic();
  walk([&](const Node& node) { count += node.kept_until > now ? 1 : 0; });
  return count;
}

void PrefixIndex::keep_nothing() {
  walk([](Node& node) { node.kept_until = Milliseconds(0); });
}

std::size_t PrefixIndex::reclaimable() const {
  std::size_t count = 0;
  const Milliseconds now = clock_->monotonic();
  walk([&](const Node& node) {
    count += pool_->references(node.block) == 1 && node.kept_until <= now ? 1 : 0;
  });
  return count;
}

// A walk over all nodes: reclaiming is rare, and one walk costs less than one block of prefill.
PrefixIndex::Node* PrefixIndex::oldest_leaf() const {
  Node* oldest = nullptr;
  const Milliseconds now = clock_->monotonic();
  walk([&](Node& node) {
    if (!node.children.empty() || pool_->references(node.block) > 1 || node.kept_until > now)
      return;
    if (oldest == nullptr || node.used < oldest->used) oldest = &node;
  });
  return oldest;
}

std::optional<std::uint64_t> PrefixIndex::oldest() const {
  const Node* leaf = oldest_leaf();
  return leaf == nullptr ? std::nullopt : std::optional(leaf->used);
}

bool PrefixIndex::drop_oldest() {
  Node* leaf = oldest_leaf();
  if (leaf == nullptr) return false;
  pool_->release(leaf->block);
  auto& siblings = leaf->parent->children;
  siblings.erase(std::find_if(siblings.begin(), siblings.end(),
                              [&](auto& child) { return child.get() == leaf; }));
  return true;
}

std::vector<PrefixIndex::Entry> PrefixIndex::entries() const {
  std::vector<const Node*> nodes;
  walk([&](const Node& node) {
    if (node.weights == 0) nodes.push_back(&node);
  });
  // A walk meets parents first, and whoever uses a block uses its parents.
  std::ranges::stable_sort(nodes, std::greater{}, &Node::used);
  std::unordered_map<const Node*, std::int64_t> place{{root_.get(), -1}};
  std::vector<Entry> entries;
  for (const Node* node : nodes) {
    place[node] = static_cast<std::int64_t>(entries.size());
    entries.push_back({place.at(node->parent), node->tokens, node->block});
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
    fresh->tokens = entry.tokens;
    fresh->block = entry.block;
    pool_->add_reference(entry.block);
    nodes.push_back(fresh.get());
    parent->children.push_back(std::move(fresh));
  }
  for (std::size_t i = nodes.size(); i-- > 0;) nodes[i]->used = budget_->tick();
}

}  // namespace lathe::infer
