// The plan for what is in memory: never over the budget, nothing that runs is taken away, and
// whoever waits gets in.
#include "serve/pool/residency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace lathe::serve {
namespace {

using State = ResidencyModel::State;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

DeviceBytes on_host(std::uint64_t bytes) {
  return DeviceBytes(kHostDevice, bytes);
}
DeviceBytes on_both(std::uint64_t host, std::uint64_t device) {
  return on_host(host) + DeviceBytes("gpu0", device);
}

ResidencyModel model(const std::string& name, std::uint64_t bytes, State state) {
  ResidencyModel model;
  model.name = name;
  model.bytes = on_host(bytes);
  model.state = state;
  return model;
}
ResidencyModel waiting(const std::string& name, std::uint64_t bytes, std::uint64_t since,
                       State state = State::kCold) {
  ResidencyModel waits = model(name, bytes, state);
  waits.waiting_since = since;
  waits.least_kv = on_host(10);
  return waits;
}

TEST(Residency, LoadsWhatFits) {
  const auto plan = plan_residency(
      {.limit = on_host(100), .models = {model("a", 40, State::kReady), waiting("b", 40, 1)}});
  EXPECT_EQ(plan.load, "b");
  EXPECT_THAT(plan.evict, IsEmpty());
}

TEST(Residency, EvictsTheLeastImportantIdleOnes) {
  ResidencyModel old = model("old", 30, State::kReady), recent = model("recent", 30, State::kReady);
  ResidencyModel dear = model("dear", 30, State::kReady);
  old.last_used = 1;
  recent.last_used = 9;
  dear.priority = 1;
  const auto plan =
      plan_residency({.limit = on_host(100), .models = {dear, recent, old, waiting("new", 35, 5)}});
  EXPECT_THAT(plan.evict, ElementsAre("old", "recent"));
  EXPECT_EQ(plan.load, "new");
}

TEST(Residency, HoldsThePlaceOfWhatRuns) {
  ResidencyModel busy = model("busy", 80, State::kReady);
  busy.busy = true;
  busy.bound_kv = on_host(10);
  const auto plan =
      plan_residency({.limit = on_host(100), .models = {busy, waiting("new", 50, 5)}});
  EXPECT_THAT(plan.evict, IsEmpty());
  EXPECT_EQ(plan.load, std::nullopt);
  EXPECT_THAT(plan.hold, ElementsAre("busy"));
}

TEST(Residency, WhoWaitsLongerKeepsItsPlace) {
  // "first" is in memory and its request is older: it is not pushed out for "second".
  const auto plan = plan_residency(
      {.limit = on_host(100),
       .models = {waiting("first", 80, 1, State::kReady), waiting("second", 50, 2)}});
  EXPECT_THAT(plan.evict, IsEmpty());
  EXPECT_THAT(plan.hold, IsEmpty());
}

TEST(Residency, PinnedModelsStayAndTheArithmeticSaysSo) {
  ResidencyModel pinned = model("pinned", 70, State::kReady);
  pinned.pinned = true;
  const auto plan =
      plan_residency({.limit = on_host(100), .models = {pinned, waiting("new", 50, 5)}});
  EXPECT_THAT(plan.evict, IsEmpty());
  ASSERT_EQ(plan.refuse.size(), 1u);
  EXPECT_EQ(plan.refuse[0].first, "new");
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("needs 60 B (50 B weights and scratch, 10 B KV)"));
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("pinned models hold 70 B"));
}

TEST(Residency, OneLoadAtATime) {
  const auto plan = plan_residency(
      {.limit = on_host(1000), .models = {model("a", 10, State::kLoading), waiting("b", 10, 1)}});
  EXPECT_EQ(plan.load, std::nullopt);
}

TEST(Residency, KvOfAReadyModelMakesIdleOnesGo) {
  ResidencyModel ready = waiting("ready", 40, 1, State::kReady);
  ready.least_kv = on_host(30);
  const auto plan =
      plan_residency({.limit = on_host(100), .models = {ready, model("idle", 40, State::kReady)}});
  EXPECT_THAT(plan.evict, ElementsAre("idle"));
  EXPECT_EQ(plan.load, std::nullopt);
}

// --- two devices: 100 bytes of the host's memory, 50 of the other's

const DeviceBytes kTwo = on_both(100, 50);

ResidencyModel of(ResidencyModel model, DeviceBytes bytes) {
  model.bytes = std::move(bytes);
  return model;
}

TEST(Residency, WhatFitsTheHostAndNotTheDeviceIsRefusedByName) {
  const ResidencyModel large = of(waiting("large", 0, 1), on_both(20, 51));
  auto plan = plan_residency({.limit = kTwo, .models = {large}});
  ASSERT_EQ(plan.refuse.size(), 1u);
  EXPECT_EQ(plan.refuse[0].second,
            "'large' needs 51 B of the memory of gpu0 (51 B weights and scratch, 0 B KV) and the "
            "budget is 50 B; use a smaller model or context");
  EXPECT_EQ(plan.load, std::nullopt);
  plan = plan_residency({.limit = on_host(1000), .models = {large}});
  ASSERT_EQ(plan.refuse.size(), 1u) << "there is no such device";
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("the budget is 0 B"));
  plan = plan_residency({.limit = kTwo, .models = {of(large, on_both(90, 50))}});
  EXPECT_THAT(plan.refuse, IsEmpty()) << "to the byte";
  EXPECT_EQ(plan.load, "large");
  // The sum of both would have room.
  plan = plan_residency({.limit = kTwo, .models = {of(large, on_both(91, 0))}});
  ASSERT_EQ(plan.refuse.size(), 1u);
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("needs 101 B ("));
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("give --memory more"));
}

TEST(Residency, OnlyADevicesOwnPinnedModelsAreInTheWayThere) {
  ResidencyModel pinned = of(model("pinned", 0, State::kReady), on_both(80, 30));
  pinned.pinned = true;
  const ResidencyModel next = of(waiting("next", 0, 5), on_both(10, 20));
  EXPECT_EQ(plan_residency({.limit = kTwo, .models = {pinned, next}}).load, "next");
  const auto plan = plan_residency({.limit = kTwo, .models = {pinned, of(next, on_both(10, 21))}});
  ASSERT_EQ(plan.refuse.size(), 1u);
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("of the memory of gpu0"));
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("pinned models hold 30 B"));
}

TEST(Residency, OnlyThoseGoWhoHoldWhatIsLacking) {
  // All idle, the ones on the host least recently used.
  ResidencyModel host = of(model("host", 0, State::kReady), on_host(40));
  ResidencyModel device = of(model("device", 0, State::kReady), on_both(5, 40));
  host.last_used = 1;
  device.last_used = 9;
  auto plan = plan_residency(
      {.limit = kTwo, .models = {host, device, of(waiting("next", 0, 10), on_both(10, 20))}});
  EXPECT_THAT(plan.evict, ElementsAre("device"));
  EXPECT_EQ(plan.load, "next");
  plan = plan_residency(
      {.limit = kTwo, .models = {host, device, of(waiting("next", 0, 10), on_both(70, 5))}});
  EXPECT_THAT(plan.evict, ElementsAre("host"));
  EXPECT_EQ(plan.load, "next");
  plan = plan_residency(
      {.limit = kTwo, .models = {host, device, of(waiting("next", 0, 10), on_both(80, 45))}});
  EXPECT_THAT(plan.evict, ElementsAre("host", "device"));
  // What runs on the device is waited for, what runs on the host is not.
  host.busy = device.busy = true;
  plan = plan_residency(
      {.limit = kTwo, .models = {host, device, of(waiting("next", 0, 10), on_both(10, 20))}});
  EXPECT_THAT(plan.evict, IsEmpty());
  EXPECT_THAT(plan.hold, ElementsAre("device"));
  EXPECT_EQ(plan.load, std::nullopt);
}

// A simulated pool under random requests: what the plan says is done, requests run for a while.
TEST(Residency, RandomDaysNeverExceedStarveOrEvictInMidStream) {
  std::mt19937 random(11);
  for (int day = 0; day < 60; ++day) {
    ResidencyState state{.limit = on_host(100), .models = {}};
    for (int i = 0; i < 6; ++i) {
      state.models.push_back(
          model(std::string(1, static_cast<char>('a' + i)), 10 + random() % 60, State::kCold));
      state.models.back().priority = static_cast<int>(random() % 2);
      state.models.back().program = i > 3 && day % 2 == 0;
    }
    if (day % 3 == 0) state.models[0].pinned = state.models[0].bytes.total() < 35;
    struct Waiting {
      std::size_t model;
      std::uint64_t since;
    };
    std::vector<Waiting> queue;
    std::vector<std::pair<std::size_t, int>> running;  // model, rounds left
    std::uint64_t now = 0, longest = 0;
    std::size_t served = 0;
    for (int round = 0; round < 2000; ++round) {
      ++now;
      // More requests than can be served at once, most of them for one model.
      if (queue.size() < 12)
        queue.push_back({random() % 3 == 0 ? random() % 6 : std::size_t{1}, now});
      for (std::size_t i = 0; i < 6; ++i) {
        ResidencyModel& each = state.models[i];
        each.waiting_since.reset();
        each.least_kv = {};
        for (const Waiting& waits : queue) {
          if (waits.model != i || (each.waiting_since && *each.waiting_since < waits.since))
            continue;
          each.waiting_since = waits.since;
          each.least_kv = on_host(5);
        }
        const auto runs = static_cast<std::uint64_t>(
            std::ranges::count(running, i, &std::pair<std::size_t, int>::first));
        each.busy = runs > 0;
        each.bound_kv = on_host(5 * runs);
      }
      const ResidencyPlan plan = plan_residency(state);
      const auto find = [&](const std::string& name) -> ResidencyModel& {
        return *std::ranges::find(state.models, name, &ResidencyModel::name);
      };
      for (const std::string& name : plan.evict) {
        EXPECT_FALSE(find(name).busy) << "evicted in mid-stream";
        EXPECT_FALSE(find(name).pinned);
        find(name).state = find(name).program ? State::kLeaving : State::kCold;
      }
      // A program takes its time to come and to go.
      for (auto& each : state.models) {
        if (each.program && random() % 3 != 0) continue;
        if (each.state == State::kLoading) each.state = State::kReady;
        if (each.state == State::kLeaving) each.state = State::kCold;
      }
      const bool leaves = std::ranges::any_of(
          plan.evict, [&](const std::string& name) { return find(name).state == State::kLeaving; });
      if (plan.load && !leaves) find(*plan.load).state = State::kLoading;
      for (const auto& [name, why] : plan.refuse)
        std::erase_if(queue, [&](auto& waits) { return state.models[waits.model].name == name; });
      // Requests start where their model is there, is not held, and memory is left.
      std::uint64_t taken = 0;
      for (const auto& each : state.models)
        taken += each.state == State::kCold ? 0 : (each.bytes + each.bound_kv).total();
      ASSERT_LE(taken, state.limit.total()) << "day " << day << ", round " << round;
      std::erase_if(queue, [&](const Waiting& waits) {
        const ResidencyModel& each = state.models[waits.model];
        if (each.state != State::kReady || taken + 5 > state.limit.total() ||
            std::ranges::count(plan.hold, each.name) > 0)
          return false;
        taken += 5;
        running.emplace_back(waits.model, 1 + static_cast<int>(random() % 6));
        longest = std::max(longest, now - waits.since);
        ++served;
        return true;
      });
      for (auto& [which, left] : running) --left;
      std::erase_if(running, [](auto& each) { return each.second <= 0; });
    }
    EXPECT_GT(served, 200u) << day;
    EXPECT_LT(longest, 400u) << "somebody starved on day " << day;
  }
}

TEST(Residency, NobodyWaitsUntilAProgramHasStarted) {
  ResidencyModel program = model("program", 40, State::kLoading);
  EXPECT_EQ(plan_residency({.limit = on_host(100), .models = {program, waiting("b", 40, 1)}}).load,
            std::nullopt);
  program.program = true;
  EXPECT_EQ(plan_residency({.limit = on_host(100), .models = {program, waiting("b", 40, 1)}}).load,
            "b");
}

TEST(Residency, WaitsForWhatIsLeaving) {
  ResidencyModel leaves = model("leaves", 60, State::kLeaving),
                 idle = model("idle", 30, State::kReady);
  leaves.program = true;
  const auto plan =
      plan_residency({.limit = on_host(100), .models = {leaves, idle, waiting("b", 50, 1)}});
  EXPECT_THAT(plan.evict, IsEmpty());  // there will be room without that
  EXPECT_EQ(plan.load, std::nullopt);
  leaves.waiting_since = 0;  // asked for again: once it has gone
  EXPECT_EQ(plan_residency({.limit = on_host(200), .models = {leaves, idle}}).load, std::nullopt);
}

TEST(Residency, IdleModelsMakeRoomForWhatHasOutgrownItsPromise) {
  ResidencyModel grown = model("grown", 60, State::kReady);
  grown.program = grown.outgrown = grown.busy = true;
  ResidencyModel busy = model("busy", 30, State::kReady), idle = model("idle", 20, State::kReady);
  busy.busy = true;
  auto plan = plan_residency({.limit = on_host(100), .models = {busy, grown, idle}});
  EXPECT_THAT(plan.evict, ElementsAre("idle"));
  EXPECT_THAT(plan.stop, IsEmpty());
  // Where that is not enough, it goes and the others stay.
  grown.bytes = on_host(75);
  plan = plan_residency({.limit = on_host(100), .models = {busy, grown, idle}});
  EXPECT_THAT(plan.evict, IsEmpty());
  EXPECT_THAT(plan.stop, ElementsAre("grown"));
  // Within the budget it may.
  grown.bytes = on_host(50);
  plan = plan_residency({.limit = on_host(100), .models = {busy, grown, idle}});
  EXPECT_THAT(plan.evict, IsEmpty());
  EXPECT_THAT(plan.stop, IsEmpty());
  // Its next start is one of what it was seen to take.
  grown.state = State::kCold;
  grown.bytes = on_host(120);
  grown.waiting_since = 1;
  plan = plan_residency({.limit = on_host(100), .models = {grown}});
  ASSERT_EQ(plan.refuse.size(), 1U);
  EXPECT_THAT(plan.refuse[0].second, HasSubstr("as its program was seen to use"));
}

}  // namespace
}  // namespace lathe::serve
