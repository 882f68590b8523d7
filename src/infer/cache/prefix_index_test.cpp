#include "infer/cache/prefix_index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

namespace lathe::infer {
namespace {

// Blocks that remember which tokens they were filled with, in place of KV.
class Cache : public testing::Test {
 protected:
  Cache() {
    static const KvFormat kFormat{
        .type = KvType::kF32,
        .chunk_bytes = [](std::size_t) { return kChunk * sizeof(std::int32_t); },
        .store = nullptr,
        .attend = nullptr};
    const StateSpec layer{.kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head_dim = 16};
    const BlockLayout layout({&layer, 1}, kFormat);
    budget.emplace(64 * layout.bytes());
    pool.emplace(*BlockPool::create(layout, 64, *budget));
    index.emplace(*pool, *budget);
  }
  void fill(BlockTable& table, const std::vector<std::int32_t>& tokens, std::size_t from) {
    ASSERT_TRUE(table.prepare(from, tokens.size()).has_value());
    for (std::size_t i = from; i < tokens.size(); ++i) {
      std::memcpy(table.data(i) + i % kChunk * sizeof(std::int32_t), &tokens[i],
                  sizeof(std::int32_t));
    }
  }
  static bool holds(const BlockTable& table, const std::vector<std::int32_t>& tokens,
                    std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (std::memcmp(table.data(i) + i % kChunk * sizeof(std::int32_t), &tokens[i],
                      sizeof(std::int32_t)) != 0)
        return false;
    }
    return true;
  }
  std::optional<KvBudget> budget;
  std::optional<BlockPool> pool;
  std::optional<PrefixIndex> index;
};

std::vector<std::int32_t> count_to(std::size_t size, std::int32_t start = 0) {
  std::vector<std::int32_t> tokens(size);
  for (std::size_t i = 0; i < size; ++i) tokens[i] = start + static_cast<std::int32_t>(i);
  return tokens;
}

TEST_F(Cache, AForkCopiesOnlyWhatItWrites) {
  BlockTable parent(*pool);
  auto tokens = count_to(150);
  fill(parent, tokens, 0);
  BlockTable child = parent.fork(150);
  EXPECT_EQ(pool->free_blocks(), 61u);
  EXPECT_EQ(child.blocks_needed(150, 151), 1u);
  auto other = tokens;
  other.push_back(-1);
  fill(child, other, 150);
  EXPECT_EQ(pool->free_blocks(), 60u);
  fill(parent, count_to(152), 150);  // the only holder by now: in place
  EXPECT_EQ(pool->free_blocks(), 60u);
  EXPECT_TRUE(holds(child, other, 151));
  EXPECT_TRUE(holds(parent, count_to(152), 152));
  child.truncate(64);
  EXPECT_EQ(pool->free_blocks(), 61u);
}

TEST_F(Cache, PrepareFailsWithoutChange) {
  BlockTable table(*pool);
  EXPECT_FALSE(table.prepare(0, 65 * kChunk).has_value());
  EXPECT_TRUE(table.blocks().empty());
  EXPECT_EQ(pool->free_blocks(), 64u);
  EXPECT_TRUE(table.prepare(0, 64 * kChunk).has_value());
  EXPECT_FALSE(pool->take().has_value());
}

TEST_F(Cache, ThePrefixIsFoundToTheToken) {
  const auto tokens = count_to(200);
  {
    BlockTable table(*pool);
    fill(table, tokens, 0);
    index->put(tokens, table);
  }
  EXPECT_EQ(pool->free_blocks(), 60u);
  for (const std::size_t same : {0u, 1u, 63u, 64u, 65u, 128u, 199u, 200u}) {
    auto probe = count_to(300);
    for (std::size_t i = same; i < probe.size(); ++i) probe[i] = -5;
    BlockTable table(*pool);
    EXPECT_EQ(index->take(probe, probe.size(), table), same);
    EXPECT_TRUE(holds(table, tokens, same));
    EXPECT_EQ(table.blocks().size(), (same + kChunk - 1) / kChunk);
  }
  BlockTable limited(*pool);
  EXPECT_EQ(index->take(tokens, 70, limited), 70u);
}

TEST_F(Cache, ReclaimTakesTheOldestLeavesAndNothingInUse) {
  const auto old = count_to(128), recent = count_to(128, 1000);
  for (const auto& tokens : {old, recent}) {
    BlockTable table(*pool);
    fill(table, tokens, 0);
    index->put(tokens, table);
  }
  BlockTable user(*pool);
  EXPECT_EQ(index->take(old, 64, user), 64u);  // the first block of `old` is in use, and lately
  EXPECT_EQ(index->reclaimable(), 3u);
  EXPECT_TRUE(index->drop_oldest());
  BlockTable a(*pool), b(*pool);
  EXPECT_EQ(index->take(old, 128, a), 64u);
  EXPECT_EQ(index->take(recent, 128, b), 128u);
  while (index->drop_oldest()) {
  }
  EXPECT_EQ(pool->free_blocks(), 61u);  // all that nobody holds
}

// Against a model that keeps every sequence whole.
TEST_F(Cache, RandomWorkNeverMixesSequences) {
  std::mt19937 random(1);
  std::vector<std::pair<std::vector<std::int32_t>, BlockTable>> live;
  std::size_t reused = 0;
  for (int round = 0; round < 4000; ++round) {
    if (live.size() > 3 || (!live.empty() && random() % 3 == 0)) {
      auto& [tokens, table] = live[random() % live.size()];
      ASSERT_TRUE(holds(table, tokens, tokens.size()));
      index->put(tokens, table);
      std::swap(live.back(), live[random() % live.size()]);
      live.pop_back();
      continue;
    }
    // Few different tokens: many shared beginnings.
    std::vector<std::int32_t> tokens(1 + random() % 400);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<std::int32_t>(i % 50 == 0 ? random() % 3 : i);
    BlockTable table(*pool);
    const std::size_t cached = index->take(tokens, tokens.size(), table);
    ASSERT_TRUE(holds(table, tokens, cached));
    reused += cached;
    while (pool->free_blocks() < table.blocks_needed(cached, tokens.size()) &&
           index->drop_oldest()) {
    }
    fill(table, tokens, cached);
    live.emplace_back(std::move(tokens), std::move(table));
  }
  EXPECT_GT(reused, 1000u);
  for (auto& [tokens, table] : live) EXPECT_TRUE(holds(table, tokens, tokens.size()));
  live.clear();
  while (index->drop_oldest()) {
  }
  EXPECT_EQ(pool->free_blocks(), 64u);
}

TEST(StateBytes, WindowsAndRecurrentStatesAreCounted) {
  const KvFormat format{.type = KvType::kF16,
                        .chunk_bytes = [](std::size_t dim) { return 2 * 2 * kChunk * dim; },
                        .store = nullptr,
                        .attend = nullptr};
  const StateSpec layers[] = {
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 8, .head_dim = 64},
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 8, .head_dim = 64, .window = 128},
      {.kind = StateSpec::Kind::kRecurrent, .recurrent_bytes = 1000},
      {.kind = StateSpec::Kind::kNone},
  };
  const std::uint64_t chunk = 8 * 4 * kChunk * 64;
  EXPECT_EQ(state_bytes(layers, format, 64).kv, chunk);
  EXPECT_EQ(state_bytes(layers, format, 65).kv, 2 * chunk);
  EXPECT_EQ(state_bytes(layers, format, 65).window, 2 * chunk);
  EXPECT_EQ(state_bytes(layers, format, 64000).kv, 1000 * chunk);
  EXPECT_EQ(state_bytes(layers, format, 64000).window, 3 * chunk);
  EXPECT_EQ(state_bytes(layers, format, 64000).recurrent, 1000u);
}

}  // namespace
}  // namespace lathe::infer
