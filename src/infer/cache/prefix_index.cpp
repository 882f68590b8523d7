#include "infer/cache/prefix_index.h"

#include <algorithm>

namespace lathe {

struct PrefixIndex::Node {
  Node* parent = nullptr;
  std::vector<std::int32_t> tokens;  // up to kChunk; only a full node has children
  BlockId block = 0;
  std::uint64_t used = 0;
  std::vector<std::unique_ptr<Node>> children;
};

PrefixIndex::PrefixIndex(BlockPool& pool) : pool_(&pool), root_(std::make_unique<Node>()) {}

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
                                           std::size_t& common) const {
  Node* best = nullptr;
  common = 0;
  for (auto& child : node.children) {
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
                              BlockTable& table) {
  tokens = tokens.first(std::min(tokens.size(), limit));
  ++now_;
  std::size_t positions = 0;
  Node* node = root_.get();
  while (positions < tokens.size()) {
    std::size_t common = 0;
    node = find_child(*node, tokens.subspan(positions), common);
    if (node == nullptr) break;
    node->used = now_;
    table.append_shared(node->block);
    positions += common;
    if (common < kChunk) break;
  }
  return positions;
}

void PrefixIndex::put(std::span<const std::int32_t> tokens, const BlockTable& table) {
  ++now_;
  Node* node = root_.get();
  for (std::size_t i = 0; i * kChunk < tokens.size(); ++i) {
    const auto own = tokens.subspan(i * kChunk, std::min(kChunk, tokens.size() - i * kChunk));
    std::size_t common = 0;
    Node* child = find_child(*node, own, common);
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
      pool_->add_reference(fresh->block);
      child = fresh.get();
      node->children.push_back(std::move(fresh));
    }
    child->used = now_;
    node = child;
  }
}

void PrefixIndex::drop(Node* leaf) {
  pool_->release(leaf->block);
  auto& siblings = leaf->parent->children;
  siblings.erase(std::find_if(siblings.begin(), siblings.end(),
                              [&](auto& child) { return child.get() == leaf; }));
}

std::size_t PrefixIndex::reclaimable() const {
  std::size_t count = 0;
  std::vector<const Node*> open{root_.get()};
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (auto& child : node->children) open.push_back(child.get());
    if (node != root_.get() && pool_->references(node->block) == 1) ++count;
  }
  return count;
}

void PrefixIndex::reclaim(std::size_t blocks) {
  while (pool_->free_blocks() < blocks) {
    // The least recently used leaf whose block would really come free. A walk over all nodes:
    // reclaiming is rare, and one walk costs less than one block of prefill.
    Node* oldest = nullptr;
    std::vector<Node*> open{root_.get()};
    while (!open.empty()) {
      Node* node = open.back();
      open.pop_back();
      for (auto& child : node->children) open.push_back(child.get());
      if (node == root_.get() || !node->children.empty()) continue;
      if (pool_->references(node->block) > 1) continue;
      if (oldest == nullptr || node->used < oldest->used) oldest = node;
    }
    if (oldest == nullptr) return;
    drop(oldest);
  }
}

}  // namespace lathe
