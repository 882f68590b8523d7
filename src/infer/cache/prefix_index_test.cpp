// Prefixes are found to the token, forks copy only what they write, and random work mixes no
// sequences.
#include "infer/cache/prefix_index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

namespace lathe::infer {
namespace {

// Blocks that remember which tokens they were filled with, in place of KV.
class Cache : public ::testing::Test {
 protected:
  Cache() {
    static const KvFormat kFormat{
        .type = KvType::kF32,
        .chunk_bytes = [](const KvShape&) { return kChunk * sizeof(PositionKey); },
        .store = nullptr,
        .attend = nullptr};
    const StateSpec layer{
        .kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head = KvShape::of(16)};
    const MemoryLayout layout({&layer, 1}, kFormat);
    budget.emplace(64 * layout.block_bytes());
    store.emplace(*MemoryStore::create(layout, 64, *budget));
    pool = &store->pool(0);
    index.emplace(*store, *budget);
  }
  void fill(SequenceMemory& memory, const std::vector<PositionKey>& tokens, std::size_t from) {
    ASSERT_TRUE(memory.prepare(from, tokens.size()).has_value());
    for (std::size_t i = from; i < tokens.size(); ++i) {
      std::memcpy(memory.data(0, i) + i % kChunk * sizeof(PositionKey), &tokens[i],
                  sizeof(PositionKey));
    }
  }
  static bool holds(const SequenceMemory& memory, const std::vector<PositionKey>& tokens,
                    std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (std::memcmp(memory.data(0, i) + i % kChunk * sizeof(PositionKey), &tokens[i],
                      sizeof(PositionKey)) != 0)
        return false;
    }
    return true;
  }
  std::optional<KvBudget> budget;
  std::optional<MemoryStore> store;
  BlockPool* pool = nullptr;
  std::optional<PrefixIndex> index;
};

std::vector<PositionKey> count_to(std::size_t size, PositionKey start = 0) {
  std::vector<PositionKey> tokens(size);
  for (std::size_t i = 0; i < size; ++i) tokens[i] = start + i;
  return tokens;
}

TEST_F(Cache, AForkCopiesOnlyWhatItWrites) {
  SequenceMemory parent(*store);
  auto tokens = count_to(150);
  fill(parent, tokens, 0);
  SequenceMemory child = parent.fork(150);
  EXPECT_EQ(pool->free_blocks(), 61u);
  EXPECT_EQ(child.blocks_needed(150, 151), BlockCounts{1});
  auto other = tokens;
  other.push_back(1000);
  fill(child, other, 150);
  EXPECT_EQ(pool->free_blocks(), 60u);
  fill(parent, count_to(152), 150);  // the only holder by now: in place
  EXPECT_EQ(pool->free_blocks(), 60u);
  EXPECT_TRUE(holds(child, other, 151));
  EXPECT_TRUE(holds(parent, count_to(152), 152));
  child.clear();
  EXPECT_EQ(pool->free_blocks(), 61u);
}

TEST_F(Cache, PrepareFailsWithoutChange) {
  SequenceMemory memory(*store);
  EXPECT_FALSE(memory.prepare(0, 65 * kChunk).has_value());
  EXPECT_FALSE(memory.block(0, 0));
  EXPECT_EQ(pool->free_blocks(), 64u);
  EXPECT_TRUE(memory.prepare(0, 64 * kChunk).has_value());
  EXPECT_FALSE(pool->take().has_value());
}

TEST_F(Cache, ThePrefixIsFoundToTheToken) {
  const auto tokens = count_to(200);
  {
    SequenceMemory memory(*store);
    fill(memory, tokens, 0);
    index->put(tokens, memory);
  }
  EXPECT_EQ(pool->free_blocks(), 60u);
  for (const std::size_t same : {0u, 1u, 63u, 64u, 65u, 128u, 199u, 200u}) {
    auto probe = count_to(300);
    for (std::size_t i = same; i < probe.size(); ++i) probe[i] = 1000;
    SequenceMemory memory(*store);
    EXPECT_EQ(index->take(probe, probe.size(), memory), same);
    EXPECT_TRUE(holds(memory, tokens, same));
    EXPECT_EQ(memory.block(0, blocks_for(same)), std::nullopt);
  }
  SequenceMemory limited(*store);
  EXPECT_EQ(index->take(tokens, 70, limited), 70u);
}

// Keys above every id, which agree in one half: none of them is another's, at the borders of blocks
// and in a tail that is copied.
TEST_F(Cache, AKeyIsComparedInAllItsBits) {
  constexpr PositionKey kHigh = PositionKey{1} << 63;
  for (const std::size_t at : {0u, 63u, 64u, 127u, 128u, 199u}) {
    const auto with = [&](PositionKey key) {
      auto keys = count_to(200, 7000 * (at + 1));
      keys[at] = key;
      return keys;
    };
    const auto known = with(kHigh | 42);
    {
      SequenceMemory memory(*store);
      fill(memory, known, 0);
      index->put(known, memory);
    }
    for (const PositionKey other :
         {PositionKey{42}, kHigh | 43, kHigh | 42 | PositionKey{1} << 32}) {
      SequenceMemory memory(*store);
      EXPECT_EQ(index->take(with(other), 200, memory), at) << other;
      fill(memory, with(other), at);
    }
    SequenceMemory same(*store);
    EXPECT_EQ(index->take(known, 200, same), 200u);
    EXPECT_TRUE(holds(same, known, 200));
  }
}

TEST_F(Cache, ReclaimTakesTheOldestLeavesAndNothingInUse) {
  const auto old = count_to(128), recent = count_to(128, 1000);
  for (const auto& tokens : {old, recent}) {
    SequenceMemory memory(*store);
    fill(memory, tokens, 0);
    index->put(tokens, memory);
  }
  SequenceMemory user(*store);
  EXPECT_EQ(index->take(old, 64, user), 64u);  // the first block of `old` is in use, and lately
  EXPECT_EQ(index->reclaimable_bytes(), 3 * pool->block_bytes());
  EXPECT_TRUE(index->drop_oldest());
  SequenceMemory a(*store), b(*store);
  EXPECT_EQ(index->take(old, 128, a), 64u);
  EXPECT_EQ(index->take(recent, 128, b), 128u);
  while (index->drop_oldest()) {
  }
  EXPECT_EQ(pool->free_blocks(), 61u);  // all that nobody holds
}

// Against a model that keeps every sequence whole.
TEST_F(Cache, RandomWorkNeverMixesSequences) {
  std::mt19937 random(1);
  std::vector<std::pair<std::vector<PositionKey>, SequenceMemory>> live;
  std::size_t reused = 0;
  for (int round = 0; round < 4000; ++round) {
    if (live.size() > 3 || (!live.empty() && random() % 3 == 0)) {
      auto& [tokens, memory] = live[random() % live.size()];
      ASSERT_TRUE(holds(memory, tokens, tokens.size()));
      index->put(tokens, memory);
      std::swap(live.back(), live[random() % live.size()]);
      live.pop_back();
      continue;
    }
    // Few different tokens: many shared beginnings.
    std::vector<PositionKey> tokens(1 + random() % 400);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = i % 50 == 0 ? random() % 3 : i;
    SequenceMemory memory(*store);
    const std::size_t cached = index->take(tokens, tokens.size(), memory);
    ASSERT_TRUE(holds(memory, tokens, cached));
    reused += cached;
    while (!store->can_take(memory.blocks_needed(cached, tokens.size())) && index->drop_oldest()) {
    }
    fill(memory, tokens, cached);
    live.emplace_back(std::move(tokens), std::move(memory));
  }
  EXPECT_GT(reused, 1000u);
  for (auto& [tokens, memory] : live) EXPECT_TRUE(holds(memory, tokens, tokens.size()));
  live.clear();
  while (index->drop_oldest()) {
  }
  EXPECT_EQ(pool->free_blocks(), 64u);
}

TEST(WorstCase, WindowsAndRecurrentStatesAreCounted) {
  const KvFormat format{
      .type = KvType::kF16,
      .chunk_bytes = [](const KvShape& head) { return 2 * 2 * kChunk * head.key; },
      .store = nullptr,
      .attend = nullptr};
  const StateSpec layers[] = {
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 8, .head = KvShape::of(64)},
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 8, .head = KvShape::of(64), .window = 128},
      {.kind = StateSpec::Kind::kRecurrent, .recurrent_bytes = 1000},
      {.kind = StateSpec::Kind::kNone},
  };
  const MemoryLayout layout(layers, format);
  const std::uint64_t chunk = 8 * 4 * kChunk * 64;
  const auto at = [&](std::size_t positions, std::size_t step = 1) {
    return worst_case(layout, {.positions = positions, .prompt_step = step});
  };
  EXPECT_EQ(at(64).kv, chunk);
  EXPECT_EQ(at(65).kv, 2 * chunk);
  EXPECT_EQ(at(65).window, 2 * chunk);
  EXPECT_EQ(at(64000).kv, 1000 * chunk);
  EXPECT_EQ(at(64000).window, 3 * chunk) << "the window and one block";
  constexpr std::uint64_t kState = 1024;  // whole cache lines
  EXPECT_EQ(at(64000).recurrent, kState);
  EXPECT_EQ(worst_case(layout, {.positions = 64, .answer_step = 8}).recurrent, 2 * kState)
      << "what stood before a draft";
  // A step of 512 tokens adds at most as many, and a block.
  EXPECT_EQ(at(64000, 512).window, (2 + 9) * chunk);
  EXPECT_EQ(at(64000, 512).kv, at(64000).kv);
  // Four answers share the prompt's whole blocks; of windows each has its own.
  const StateBytes four = worst_case(
      layout, {.prompt = 640 + 5, .positions = 1280, .candidates = 4, .prompt_step = 512});
  EXPECT_EQ(four.kv, (20 + 3 * 10 + 1) * chunk);
  EXPECT_EQ(four.window, (11 + 3 * 3) * chunk);
  EXPECT_EQ(four.recurrent, 5 * kState);
}

// Of a long prompt no more states are kept than of one of 8,192 tokens.
TEST(WorstCase, StatesOfLongPromptsAreFarApart) {
  const StateSpec layers[] = {{.kind = StateSpec::Kind::kRecurrent, .recurrent_bytes = 640}};
  const KvFormat none{
      .type = KvType::kF16, .chunk_bytes = nullptr, .store = nullptr, .attend = nullptr};
  const MemoryLayout layout(layers, none);
  EXPECT_EQ(restart_bytes(layout, 511), 2u * 640);
  EXPECT_EQ(restart_bytes(layout, 4096), 10u * 640);
  EXPECT_EQ(restart_bytes(layout, 8192), 18u * 640);
  EXPECT_EQ(restart_bytes(layout, 1'000'000), 18u * 640);
}

// The inverse is the largest that fits, to the block.
TEST(WorstCase, PositionsWithinAreTheMostThatFit) {
  const KvFormat format{.type = KvType::kF16,
                        .chunk_bytes = [](const KvShape& head) { return 4 * kChunk * head.key; },
                        .store = nullptr,
                        .attend = nullptr};
  const StateSpec layers[] = {
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head = KvShape::of(16)},
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 3, .head = KvShape::of(16), .window = 100}};
  const MemoryLayout both(layers, format), full({layers, 1}, format);
  for (std::uint64_t bytes = 0; bytes < 400000; bytes += 1777) {
    EXPECT_EQ(positions_within(full, {}, bytes), bytes / full.block_bytes() * kChunk);
    const std::size_t most = positions_within(both, {}, bytes);
    EXPECT_LE(worst_case(both, {.positions = most}).total(), bytes);
    EXPECT_GT(worst_case(both, {.positions = most + 1}).total(), bytes);
  }
}

}  // namespace
}  // namespace lathe::infer
