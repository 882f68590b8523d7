// Several caches under one budget, prefixes that are kept, and snapshots: what was promised is
// there, nothing is promised twice, and a file that is not exactly right is refused.
#include "infer/cache/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "infer/cache/pages_test.h"
#include "infer/cache/snapshot.h"

namespace lathe::infer {
namespace {

// Blocks of one page and of two, which remember the tokens they were filled with.
MemoryLayout layout_of(std::size_t pages) {
  const StateSpec layer{
      .kind = StateSpec::Kind::kAttention, .kv_heads = pages, .head = KvShape::of(16)};
  return MemoryLayout({&layer, 1}, kPage);
}

using Tokens = std::vector<PositionKey>;
Tokens counted(std::size_t size, PositionKey start) {
  Tokens tokens(size);
  for (std::size_t i = 0; i < size; ++i) tokens[i] = start + i;
  return tokens;
}

// As a sequence does: room, blocks, contents.
void fill(KvCache& cache, SequenceMemory& memory, const Tokens& tokens) {
  cache.make_room(memory.blocks_needed(0, tokens.size()));
  ASSERT_TRUE(memory.prepare(0, tokens.size()).has_value());
  for (std::size_t i = 0; i < tokens.size(); ++i)
    std::memcpy(memory.data(0, i) + i % kChunk * 4, &tokens[i], 4);
}

void remember(KvCache& cache, const Tokens& tokens) {
  SequenceMemory memory(cache.store());
  fill(cache, memory, tokens);
  cache.index().put(tokens, memory);
}

std::size_t known(KvCache& cache, const Tokens& tokens) {
  SequenceMemory memory(cache.store());
  const std::size_t count = cache.index().take(tokens, tokens.size(), memory);
  for (std::size_t i = 0; i < count; ++i)
    EXPECT_EQ(std::memcmp(memory.data(0, i) + i % kChunk * 4, &tokens[i], 4), 0) << i;
  return count;
}

TEST(KvBudget, ColdPrefixesOfOneModelServeAnother) {
  KvBudget budget(10 * 4096);
  const auto small = *KvCache::create(layout_of(1), 100, budget);
  const auto large = *KvCache::create(layout_of(2), 100, budget);
  remember(*small, counted(4 * kChunk, 0));
  remember(*small, counted(4 * kChunk, 5000));
  EXPECT_EQ(budget.held(), 8u * 4096);
  // All of it could be given to the other one.
  EXPECT_EQ(large->admissible(), 10u * 4096);
  SequenceMemory memory(large->store());
  fill(*large, memory, counted(3 * kChunk, 0));
  EXPECT_LE(budget.held(), budget.limit());
  // What went was the older prefix, from its end.
  EXPECT_EQ(known(*small, counted(4 * kChunk, 5000)), 4 * kChunk);
  EXPECT_EQ(known(*small, counted(4 * kChunk, 0)), 0u);
}

TEST(KvBudget, NothingIsPromisedTwice) {
  KvBudget budget(10 * 4096);
  const auto a = *KvCache::create(layout_of(1), 100, budget);
  const auto b = *KvCache::create(layout_of(2), 100, budget);
  a->promise(7 * 4096);
  EXPECT_EQ(b->admissible(), 3u * 4096);
  EXPECT_EQ(a->admissible(), 10u * 4096);  // its own promises are its own business
  EXPECT_EQ(b->capacity(), 10u * 4096);
  b->promise(2 * 4096);
  EXPECT_EQ(a->admissible(), 8u * 4096);
}

TEST(KvBudget, ALowerLimitIsReachedByForgetting) {
  KvBudget budget(10 * 4096);
  const auto cache = *KvCache::create(layout_of(1), 100, budget);
  remember(*cache, counted(8 * kChunk, 0));
  SequenceMemory user(cache->store());
  EXPECT_EQ(cache->index().take(counted(2 * kChunk, 0), 2 * kChunk, user), 2 * kChunk);
  budget.set_limit(1 * 4096);
  budget.shrink();
  EXPECT_EQ(budget.held(), 2u * 4096) << "what is in use stays";
  EXPECT_EQ(cache->admissible(), 0u);
}

TEST(KvBudget, LeavesWithItsCache) {
  KvBudget budget(10 * 4096);
  {
    const auto cache = *KvCache::create(layout_of(1), 100, budget);
    remember(*cache, counted(8 * kChunk, 0));
  }
  EXPECT_EQ(budget.held(), 0u);
  const auto cache = *KvCache::create(layout_of(1), 100, budget);
  EXPECT_EQ(cache->admissible(), 10u * 4096);
}

class StoppedClock : public Clock {
 public:
  Milliseconds monotonic() const override { return now; }
  std::int64_t unix_ms() const override { return now.count(); }
  Milliseconds now{1000};
};

TEST(PrefixIndex, KeepsWhatItIsToldToKeepAndNoLonger) {
  KvBudget budget(10 * 4096);
  MemoryStore store = *MemoryStore::create(layout_of(1), 10, budget);
  StoppedClock clock;
  PrefixIndex index(store, budget, clock);
  SequenceMemory memory(store);
  const Tokens tokens = counted(3 * kChunk + 5, 0);
  ASSERT_TRUE(memory.prepare(0, tokens.size()).has_value());
  index.put(tokens, memory);
  memory.clear();
  index.keep(tokens, Milliseconds(2000));
  EXPECT_EQ(index.kept_bytes(), 3u * 4096) << "whole blocks only";
  EXPECT_EQ(index.reclaimable_bytes(), 1u * 4096);
  while (index.drop_oldest()) {
  }
  EXPECT_EQ(store.used_bytes(), 3u * 4096);
  index.keep(tokens, Milliseconds(1500));  // an earlier end changes nothing
  clock.now = Milliseconds(1999);
  EXPECT_EQ(index.kept_bytes(), 3u * 4096);
  index.keep_nothing();
  EXPECT_EQ(index.reclaimable_bytes(), 3u * 4096);
  index.keep(tokens, Milliseconds(2000));
  clock.now = Milliseconds(2000);
  EXPECT_EQ(index.kept_bytes(), 0u * 4096);
  while (index.drop_oldest()) {
  }
  EXPECT_EQ(store.used_bytes(), 0u);
}

// Random work on three caches: the budget is never exceeded and every promise is kept.
TEST(KvBudget, RandomWorkStaysWithin) {
  std::mt19937 random(3);
  KvBudget budget(40 * 4096);
  std::vector<std::unique_ptr<KvCache>> caches;
  for (const std::size_t pages : {1, 2, 3})
    caches.push_back(*KvCache::create(layout_of(pages), 30, budget));
  struct Running {
    std::size_t cache;
    Tokens tokens;
    SequenceMemory memory;
  };
  std::vector<Running> running;
  const auto promise_all = [&](std::size_t which) {
    std::uint64_t bytes = 0;
    for (const Running& each : running) {
      if (each.cache == which)
        bytes += each.memory.bytes_left(each.tokens.size(), {.positions = each.tokens.size()});
    }
    caches[which]->promise(bytes);
  };
  int admitted = 0, refused = 0;
  for (int round = 0; round < 5000; ++round) {
    if (!running.empty() && random() % 2 == 0) {
      const std::size_t i = random() % running.size();
      caches[running[i].cache]->index().put(running[i].tokens, running[i].memory);
      std::swap(running[i], running.back());
      running.pop_back();
      continue;
    }
    const std::size_t which = random() % 3;
    KvCache& cache = *caches[which];
    const Tokens tokens = counted(1 + random() % 500, random() % 4 * 10000);
    SequenceMemory memory(cache.store());
    const std::size_t cached = cache.index().take(tokens, tokens.size() - 1, memory);
    const BlockCounts needed = memory.blocks_needed(cached, tokens.size());
    if (needed[0] * cache.store().layout().block_bytes() > cache.admissible()) {
      ++refused;
      continue;
    }
    cache.make_room(needed);
    ASSERT_TRUE(memory.prepare(cached, tokens.size()).has_value()) << "round " << round;
    ASSERT_LE(budget.held(), budget.limit());
    running.push_back({which, tokens, std::move(memory)});
    promise_all(which);
    ++admitted;
  }
  EXPECT_GT(admitted, 1000);
  EXPECT_GT(refused, 100);
}

class Snapshot : public ::testing::Test {
 protected:
  static constexpr PositionKey kOddKey = 0x8765'4321'0fed'cba9;
  Snapshot() : dir(*TempDir::make()), path(dir.path() / "prefixes.kv"), budget(64 * 4096) {
    cache = *KvCache::create(layout_of(1), 60, budget);
    remember(*cache, counted(3 * kChunk + 7, 0));
    Tokens fork = counted(2 * kChunk, 0);
    fork.back() = kOddKey;
    remember(*cache, fork);
    EXPECT_EQ(*save_snapshot(*cache, "model a", path, UINT64_MAX), 5u);
  }
  std::unique_ptr<KvCache> fresh(std::size_t blocks = 60) {
    cache.reset();
    return *KvCache::create(layout_of(1), blocks, budget);
  }
  TempDir dir;
  fs::path path;
  KvBudget budget;
  std::unique_ptr<KvCache> cache;
};

TEST_F(Snapshot, ComesBackByteForByte) {
  const auto again = fresh();
  EXPECT_EQ(*load_snapshot(*again, "model a", path), 5u);
  EXPECT_EQ(known(*again, counted(3 * kChunk + 7, 0)), 3 * kChunk + 7);
  Tokens fork = counted(2 * kChunk, 0);
  fork.back() = kOddKey;
  EXPECT_EQ(known(*again, fork), 2 * kChunk);
  fork.back() ^= PositionKey{1} << 40;
  EXPECT_EQ(known(*again, fork), 2 * kChunk - 1);
  EXPECT_EQ(again->store().used_bytes(), 5u * 4096);
  EXPECT_EQ(again->index().reclaimable_bytes(), 5u * 4096) << "only the index holds them";
}

TEST_F(Snapshot, AsMuchAsThereIsRoomFor) {
  const auto again = fresh(2);
  EXPECT_EQ(*load_snapshot(*again, "model a", path), 2u);
  const auto small = fresh();
  EXPECT_EQ(*load_snapshot(*small, "model a", path), 5u);
  EXPECT_EQ(*save_snapshot(*small, "model a", path, 3 * 4096), 3u);
}

TEST_F(Snapshot, OfSomethingElseIsRefused) {
  const auto again = fresh();
  const auto other = load_snapshot(*again, "model b", path);
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("another model"), std::string::npos);
  cache.reset();
  const auto wide = *KvCache::create(layout_of(2), 10, budget);
  EXPECT_FALSE(load_snapshot(*wide, "model a", path).has_value());
  EXPECT_EQ(load_snapshot(*again, "model a", dir.path() / "none").error().kind,
            ErrorKind::kNotFound);
}

TEST_F(Snapshot, EveryDamageIsSeenAndLeavesNothingBehind) {
  const std::string whole = *read_file(path);
  const auto again = fresh();
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string broken = whole;
    if (i % 3 == 0) {
      broken.resize(random() % whole.size());
    } else {
      broken[random() % whole.size()] ^= static_cast<char>(1 << random() % 8);
    }
    ASSERT_TRUE(write_file_atomic(path, broken).has_value());
    EXPECT_FALSE(load_snapshot(*again, "model a", path).has_value()) << i;
    EXPECT_EQ(again->store().used_bytes(), 0u);
  }
}

TEST_F(Snapshot, AFullDiskLeavesTheOldOne) {
  const std::string before = *read_file(path);
  fs::create_directory(path.string() + ".part");  // the new one cannot be begun
  EXPECT_FALSE(save_snapshot(*cache, "model a", path, UINT64_MAX).has_value());
  EXPECT_EQ(*read_file(path), before);
}

}  // namespace
}  // namespace lathe::infer
