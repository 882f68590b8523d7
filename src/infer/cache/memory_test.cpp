// What sequences remember where some layers see a window only: it is all there for whoever needs
// it, shared or not, and what nobody sees any more is given back.
#include "infer/cache/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "infer/cache/kv_cache.h"
#include "infer/cache/pages_test.h"

namespace lathe::infer {
namespace {

// Blocks of one page that remember the tokens they were filled with: of layers that keep every
// position, of windows of 128 and of windows of 30.
MemoryLayout three_groups() {
  StateSpec layers[3];
  for (StateSpec& layer : layers)
    layer = {.kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head = KvShape::of(16)};
  layers[1].window = 128;
  layers[2].window = 30;
  return MemoryLayout(layers, kPage);
}

using Positions = std::vector<PositionKey>;

void write(const SequenceMemory& memory, const Positions& tokens, std::size_t from,
           std::size_t to) {
  for (std::size_t i = from; i < to; ++i)
    for (std::size_t g = 0; g < 3; ++g)
      std::memcpy(memory.data(g, i) + i % kChunk * 4, &tokens[i], 4);
}

// What a query at `position` sees.
::testing::AssertionResult sees(const SequenceMemory& memory, const Positions& tokens,
                                std::size_t position) {
  const MemoryLayout layout = three_groups();
  for (std::size_t g = 0; g < 3; ++g)
    for (std::size_t i = oldest_visible(layout.groups()[g].window, position); i < position; ++i)
      if (!memory.block(g, i / kChunk) ||
          std::memcmp(memory.data(g, i) + i % kChunk * 4, &tokens[i], 4) != 0)
        return ::testing::AssertionFailure() << "position " << i << " of group " << g;
  return ::testing::AssertionSuccess();
}

TEST(SequenceMemory, LayersThatRememberAlikeShareBlocks) {
  const StateSpec full{.kind = StateSpec::Kind::kAttention, .kv_heads = 2, .head = KvShape::of(16)};
  StateSpec window = full;
  window.window = 128;
  const StateSpec layers[] = {window, full, window, {}, full};
  const MemoryLayout layout(layers, kPage);
  ASSERT_EQ(layout.groups().size(), 2u);
  EXPECT_EQ(layout.groups()[0].window, 128u);
  EXPECT_EQ(layout.groups()[0].block_bytes, 4u * 4096);
  EXPECT_EQ(layout.place(4).group, 1u);
  EXPECT_EQ(layout.place(4).offset, 2u * 4096);
  EXPECT_EQ(layout.block_bytes(), 8u * 4096);
}

TEST(SequenceMemory, AtRestAWindowKeepsItsPositionsAndABlock) {
  KvBudget budget(std::uint64_t{1} << 30);
  constexpr std::size_t kPositions = 1 << 20;
  MemoryStore store =
      *MemoryStore::create(three_groups(), blocks_for(kPositions + 700) + 64, budget);
  SequenceMemory memory(store);
  std::mt19937 random(1);
  for (std::size_t at = 0; at < kPositions;) {
    const std::size_t end = at + 1 + random() % 700;
    ASSERT_TRUE(memory.prepare(at, end));
    memory.settle(end);
    at = end;
    EXPECT_EQ(store.pool(0).used_blocks(), blocks_for(at));
    EXPECT_LE(store.pool(1).used_blocks() * kChunk, 192u);
    EXPECT_LE(store.pool(2).used_blocks() * kChunk, 128u);
  }
  EXPECT_GE(store.pool(1).used_blocks() * kChunk, 128u);
  memory.clear();
  EXPECT_EQ(store.used_bytes(), 0u);
}

// A window of a single position sees nothing before it: a prefix that ends with a block leaves it
// without blocks.
TEST(PrefixIndex, AWindowOfOneIsGoneOnFromWithoutBlocks) {
  StateSpec layers[2];
  for (StateSpec& layer : layers)
    layer = {.kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head = KvShape::of(16)};
  layers[1].window = 1;
  KvBudget budget(std::uint64_t{1} << 30);
  const auto cache = *KvCache::create(MemoryLayout(layers, kPage), 100, budget);
  const Positions tokens(300, 7);
  {
    SequenceMemory memory(cache->store());
    ASSERT_TRUE(memory.prepare(0, 256));
    memory.settle(256);
    cache->index().put(std::span(tokens).first(256), memory);
  }
  SequenceMemory memory(cache->store());
  EXPECT_EQ(cache->index().take(tokens, 299, memory), 256u);
  ASSERT_TRUE(memory.prepare(256, 300));
  EXPECT_TRUE(memory.block(1, 4));
  EXPECT_FALSE(memory.block(1, 3));
  memory.data(1, 299)[0] = std::byte{1};
}

// A state stands behind one position: a step that may be taken back keeps the one before it, forks
// share it until one goes on, and clear() gives all of it back.
TEST(SequenceMemory, AStateGoesBackAndIsForked) {
  const StateSpec layers[] = {
      {.kind = StateSpec::Kind::kRecurrent, .recurrent_bytes = 4096},
      {.kind = StateSpec::Kind::kAttention, .kv_heads = 1, .head = KvShape::of(16)}};
  KvBudget budget(std::uint64_t{1} << 30);
  MemoryStore store = *MemoryStore::create(MemoryLayout(layers, kPage), 10, budget, 5);
  const BlockPool& states = store.pool(0);
  const auto mark = [](const SequenceMemory& memory, int with) {
    std::memset(memory.state(), with, 4096);
  };
  const auto marked = [](const SequenceMemory& memory) {
    return std::to_integer<int>(memory.state()[4095]);
  };
  SequenceMemory memory(store);
  ASSERT_TRUE(memory.prepare(0, 100));
  EXPECT_EQ(marked(memory), 0) << "a new one is zero";
  mark(memory, 1);
  EXPECT_EQ(memory.settle(100), 100u);
  // Eight drafted tokens, of which three are right: none of them stands.
  ASSERT_TRUE(memory.prepare(100, 109, true));
  mark(memory, 2);
  EXPECT_EQ(states.used_blocks(), 2u);
  EXPECT_EQ(memory.settle(104), 100u);
  EXPECT_EQ(memory.state_at(), 100u);
  EXPECT_EQ(marked(memory), 1);
  // All of them are right.
  ASSERT_TRUE(memory.prepare(100, 109, true));
  mark(memory, 3);
  EXPECT_EQ(memory.settle(109), 109u);
  EXPECT_EQ(marked(memory), 3);
  EXPECT_EQ(states.used_blocks(), 1u);
  SequenceMemory other = memory.fork(109);
  EXPECT_EQ(states.used_blocks(), 1u);
  ASSERT_TRUE(other.prepare(109, 110));
  mark(other, 4);
  ASSERT_TRUE(memory.prepare(109, 110));
  EXPECT_EQ(marked(memory), 3);
  EXPECT_EQ(marked(other), 4);
  EXPECT_EQ(states.used_blocks(), 2u);
  memory.clear();
  other.clear();
  EXPECT_EQ(store.used_bytes(), 0u);
}

// Drafts: positions that were prepared and are not settled can be written again.
TEST(SequenceMemory, WhatIsNotSettledCanBeTakenBack) {
  KvBudget budget(std::uint64_t{1} << 30);
  MemoryStore store = *MemoryStore::create(three_groups(), 100, budget);
  SequenceMemory memory(store);
  Positions tokens(500);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = i;
  ASSERT_TRUE(memory.prepare(0, 300));
  write(memory, tokens, 0, 300);
  memory.settle(300);
  ASSERT_TRUE(memory.prepare(300, 364));  // 64 drafted tokens, of which one is right
  memory.settle(301);
  ASSERT_TRUE(memory.prepare(301, 365));
  write(memory, tokens, 300, 365);
  EXPECT_TRUE(sees(memory, tokens, 365));
}

TEST(PrefixIndex, AWindowIsGoneOnFromWhereItWasPutIn) {
  KvBudget budget(std::uint64_t{1} << 30);
  const auto cache = *KvCache::create(three_groups(), 1000, budget);
  Positions tokens(1000);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = i;
  {
    SequenceMemory memory(cache->store());
    for (std::size_t at = 0; at < 1000; at += 50) {
      ASSERT_TRUE(memory.prepare(at, at + 50));
      write(memory, tokens, at, at + 50);
      memory.settle(at + 50);
      if (at + 50 == 600) cache->index().put(std::span(tokens).first(576), memory);
    }
    cache->index().put(tokens, memory);
  }
  const auto taken = [&](std::size_t shared) {
    Positions probe = tokens;
    for (std::size_t i = shared; i < probe.size(); ++i) probe[i] = 100'000;
    SequenceMemory memory(cache->store());
    const std::size_t positions = cache->index().take(probe, probe.size(), memory);
    EXPECT_TRUE(sees(memory, tokens, positions)) << shared;
    return positions;
  };
  EXPECT_EQ(taken(1000), 1000u);
  EXPECT_EQ(taken(970), 970u);  // its windows are in the last blocks too
  EXPECT_EQ(taken(900), 576u);  // theirs are gone: back to the checkpoint
  EXPECT_EQ(taken(576), 576u);
  EXPECT_EQ(taken(575), 575u);  // one further back sees a block that is gone
  EXPECT_EQ(taken(574), 0u);
  EXPECT_EQ(taken(400), 0u);
  // What windows keep goes first where it was used last; then nothing can be gone on from there.
  const std::uint64_t all = cache->index().reclaimable_bytes();
  EXPECT_EQ(all, cache->store().used_bytes());
  while (cache->index().drop_oldest()) {
  }
  EXPECT_EQ(cache->store().used_bytes(), 0u);
}

// A sequence runs on while the index still has what it was put in with: that goes back although the
// sequence uses the prompt's other blocks.
TEST(PrefixIndex, WindowsOfARunningPromptAreReclaimed) {
  KvBudget budget(std::uint64_t{1} << 30);
  const auto cache = *KvCache::create(three_groups(), 1000, budget);
  Positions tokens(2000);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = i;
  SequenceMemory memory(cache->store());
  ASSERT_TRUE(memory.prepare(0, 640));
  write(memory, tokens, 0, 640);
  memory.settle(640);
  cache->index().put(std::span(tokens).first(640), memory);
  EXPECT_EQ(cache->index().reclaimable_bytes(), 0u);
  ASSERT_TRUE(memory.prepare(640, 2000));
  write(memory, tokens, 640, 2000);
  memory.settle(2000);
  EXPECT_EQ(cache->index().reclaimable_bytes(), (2u + 1) * 4096);
  while (cache->index().drop_oldest()) {
  }
  EXPECT_EQ(cache->index().reclaimable_bytes(), 0u);
  EXPECT_EQ(cache->store().pool(0).used_blocks(), blocks_for(2000));
  EXPECT_TRUE(sees(memory, tokens, 2000));
}

// As engines work, on a budget that is always short: whoever was admitted by its worst case gets
// its blocks, finds what it sees, and what it was promised is never exceeded.
TEST(SequenceMemory, RandomWorkGetsWhatItWasPromised) {
  std::mt19937 random(5);
  const MemoryLayout layout = three_groups();
  KvBudget budget(70 * 4096);
  const auto cache = *KvCache::create(layout, 60, budget);
  struct Running {
    Positions tokens;
    Claim claim;
    SequenceMemory memory;
    std::size_t at = 0;
  };
  std::vector<Running> running;
  const auto promised = [&] {
    std::uint64_t bytes = 0;
    for (const Running& each : running) bytes += each.memory.bytes_left(each.at, each.claim);
    return bytes;
  };
  // What the index counts as it goes, counted over all it has.
  const auto reclaimable = [&] {
    std::uint64_t bytes = 0;
    for (const PrefixIndex::Entry& entry : cache->index().entries()) {
      for (std::size_t g = 0; g < entry.blocks.size(); ++g) {
        const BlockPool& pool = cache->store().pool(g);
        if (entry.blocks[g] && pool.references(*entry.blocks[g]) == 1) bytes += pool.block_bytes();
      }
    }
    return bytes;
  };
  std::size_t admitted = 0, waited = 0, reused = 0, forked = 0;
  for (int round = 0; round < 6000; ++round) {
    if (random() % 3 == 0) {
      Positions tokens(1 + random() % 900);
      for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = i % 200 == 0 ? random() % 2 : i;
      const Claim claim{.positions = tokens.size(), .prompt_step = 1 + random() % 150};
      SequenceMemory memory(cache->store());
      if (promised() + memory.bytes_left(0, claim) > cache->admissible()) {
        ++waited;
      } else {
        const std::size_t at = cache->index().take(tokens, tokens.size() - 1, memory);
        ASSERT_TRUE(sees(memory, tokens, at));
        reused += at;
        running.push_back({std::move(tokens), claim, std::move(memory), at});
        ++admitted;
      }
    }
    if (running.empty()) continue;
    Running& one = running[random() % running.size()];
    const std::size_t end =
        std::min(one.tokens.size(), one.at + 1 + random() % one.claim.prompt_step);
    if (round % 8 == 0) {
      ASSERT_EQ(cache->index().reclaimable_bytes(), reclaimable());
    }
    cache->promise(promised());
    cache->make_room(one.memory.blocks_needed(one.at, end));
    ASSERT_TRUE(one.memory.prepare(one.at, end)) << "round " << round;
    ASSERT_LE(budget.held(), budget.limit());
    write(one.memory, one.tokens, one.at, end);
    ASSERT_TRUE(sees(one.memory, one.tokens, end));
    one.at = end;
    if (random() % 4 == 0)
      cache->index().put(std::span(one.tokens).first(end / kChunk * kChunk), one.memory);
    one.memory.settle(end);
    if (one.at == one.tokens.size()) {
      cache->index().put(one.tokens, one.memory);
      std::swap(one, running.back());
      running.pop_back();
      continue;
    }
    // A second one from here on, if that can be promised.
    if (random() % 8 != 0) continue;
    Running child{one.tokens, one.claim, one.memory.fork(one.at), one.at};
    running.push_back(std::move(child));
    if (promised() > cache->admissible())
      running.pop_back();
    else
      ++forked;
  }
  EXPECT_GT(admitted, 100u);
  EXPECT_GT(waited, 100u);
  EXPECT_GT(reused, 1000u);
  EXPECT_GT(forked, 20u);
  running.clear();
  while (cache->index().drop_oldest()) {
  }
  EXPECT_EQ(cache->store().used_bytes(), 0u);
}

}  // namespace
}  // namespace lathe::infer
