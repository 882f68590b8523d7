// The rules of leases, one by one. That each store keeps to them is tests/books/leases_test.cpp's.
#include <gtest/gtest.h>

#include <random>

#include "books/leases/lease_rules.h"

namespace lathe::books {
namespace {

UnitSpec lan_unit(std::string id, std::string kind = "code") {
  UnitSpec unit;
  unit.id = std::move(id);
  unit.kind = std::move(kind);
  unit.privacy = Reach::kLan;
  return unit;
}

UnitResult made(std::string hash = "") {
  UnitResult result;
  result.hash = std::move(hash);
  return result;
}

// Three nodes on the LAN, and what a case adds.
class Rules : public ::testing::Test {
 protected:
  Rules() {
    for (const char* id : {"a", "b", "c"}) put(id, Reach::kLan);
  }
  void put(const std::string& id, Reach clearance) {
    NodeRow node;
    node.id = id;
    node.clearance = clearance;
    EXPECT_TRUE(rules_.put_node(node));
  }
  void add(std::vector<UnitSpec> units) { EXPECT_TRUE(rules_.add_units("r", units)); }
  std::optional<Grant> take(const std::string& node, std::vector<std::string> caps = {}) {
    Wish wish;
    wish.node = node;
    wish.caps = std::move(caps);
    return rules_.lease(wish, now_).value();
  }
  bool beat(const Grant& lease) {
    return !rules_.heartbeat(lease.node, std::span(&lease, 1), {}, now_).value().empty();
  }
  LeaseAnswer complete(const Grant& lease, const UnitResult& result = {}) {
    return rules_.complete(lease, result, now_);
  }
  const UnitRow& unit(const std::string& id) { return *rules_.unit("r", id); }

  LeaseRules rules_;
  std::int64_t now_ = 1'000'000;
};

TEST_F(Rules, WhatIsLocalStaysAtHomeWhateverANodeSaysOfItself) {
  UnitSpec unit = lan_unit("u");
  unit.privacy = Reach::kLocal;
  unit.home = "desk";
  put("laptop", Reach::kLocal);
  put("desk", Reach::kAny);
  add({unit});
  EXPECT_FALSE(take("laptop"));
  EXPECT_TRUE(take("desk"));
}

TEST_F(Rules, UrgentFirstThenByName) {
  UnitSpec urgent = lan_unit("z");
  urgent.prio = 1;
  add({lan_unit("b"), lan_unit("a"), urgent});
  EXPECT_EQ(take("a")->unit, "z");
  EXPECT_EQ(take("a")->unit, "a");
  EXPECT_EQ(take("b")->unit, "b");
  EXPECT_FALSE(take("b"));
}

TEST_F(Rules, AUnitWaitsForThoseBeforeIt) {
  UnitSpec second = lan_unit("second"), third = lan_unit("a-third");
  second.deps = {"first"};
  third.deps = {"first", "second"};
  add({lan_unit("first"), second, third});
  const auto first = take("a");
  EXPECT_FALSE(take("b"));
  EXPECT_EQ(complete(*first), LeaseAnswer::kCounted);
  const auto next = take("b");
  ASSERT_TRUE(next);
  EXPECT_EQ(next->unit, "second");
  EXPECT_FALSE(take("a"));
  EXPECT_EQ(complete(*next), LeaseAnswer::kCounted);
  EXPECT_EQ(take("a")->unit, "a-third");
}

TEST_F(Rules, WhatWaitsForALostUnitIsLost) {
  UnitSpec second = lan_unit("second"), third = lan_unit("third");
  second.deps = {"first"};
  third.deps = {"second"};
  add({lan_unit("first"), second, third, lan_unit("zz")});
  UnitResult no;
  no.passed = false;
  no.reason = "judged";
  EXPECT_EQ(complete(*take("a"), no), LeaseAnswer::kCounted);
  EXPECT_EQ(unit("first").result.reason, "judged");
  for (const char* id : {"second", "third"}) {
    EXPECT_EQ(unit(id).state, UnitState::kGaveUp);
    EXPECT_EQ(unit(id).result.reason, "dependency: first");
  }
  EXPECT_EQ(take("a")->unit, "zz");
  UnitSpec late = lan_unit("late");
  late.deps = {"first"};
  EXPECT_FALSE(rules_.add_units("r", std::vector{late})) << "it could never begin";
}

TEST_F(Rules, UnitsThatCannotBeAreRefusedAndNoneIsAdded) {
  UnitSpec self = lan_unit("self"), twice = lan_unit("twice"), unknown = lan_unit("unknown");
  self.deps = {"self"};
  twice.deps = {"first", "first"};
  unknown.deps = {"nobody"};
  for (const UnitSpec& bad :
       {self, twice, unknown, lan_unit("first"), lan_unit(""), lan_unit("line\nbreak"),
        lan_unit(std::string("a\0b", 3)), lan_unit(std::string(100'000, 'x')), lan_unit("\xff")})
    EXPECT_FALSE(rules_.add_units("r", std::vector{lan_unit("first"), bad})) << bad.id;
  EXPECT_TRUE(rules_.units("r").empty());
}

// A process that was stopped beyond its lease goes on as if nothing had been.
TEST_F(Rules, AStaleCompletionChangesNothing) {
  add({lan_unit("u")});
  const auto old = take("a");
  EXPECT_FALSE(take("b"));
  now_ += kLeaseMs + 1;
  const auto fresh = take("b");
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->epoch, old->epoch + 1);
  EXPECT_FALSE(beat(*old)) << "a late heartbeat brings nothing back";
  EXPECT_EQ(complete(*old, made("x")), LeaseAnswer::kStale);
  EXPECT_EQ(unit("u").state, UnitState::kLeased);
  EXPECT_EQ(complete(*fresh, made("x")), LeaseAnswer::kCounted);
  const UnitRow before = unit("u");
  EXPECT_EQ(before.stale, (std::map<std::string, int>{{"a", 1}}));
  EXPECT_EQ(complete(*old, made("x")), LeaseAnswer::kStale);
  EXPECT_EQ(rules_.fail(*old), LeaseAnswer::kStale);
  EXPECT_EQ(rules_.release(*old), LeaseAnswer::kStale);
  UnitRow after = unit("u");
  EXPECT_EQ(after.stale, (std::map<std::string, int>{{"a", 4}})) << "that much is remembered";
  Grant never = *old;
  never.epoch = 99;
  EXPECT_EQ(complete(never, made("x")), LeaseAnswer::kStale);
  EXPECT_EQ(unit("u"), after) << "there was no such lease";
  after.stale = before.stale;
  EXPECT_EQ(after, before);
  EXPECT_EQ(before.done_by, "b");
}

// What it can do, it says itself; who it is, the fleet does.
TEST_F(Rules, ANodeIsNobodyElseByItsOwnWord) {
  UnitSpec unit = lan_unit("u");
  unit.needs = {"gpu", "on:b"};
  add({unit});
  NodeRow node;
  node.clearance = Reach::kLan;
  for (const char* id : {"a", "b"}) {
    node.id = id;
    node.caps = {fmt::format("on:{}", id)};
    ASSERT_TRUE(rules_.put_node(node));
  }
  const std::vector<std::string> all{"gpu", "on:a", "on:b"};
  EXPECT_FALSE(rules_.lease({.node = "a", .caps = all}, now_).value());
  EXPECT_FALSE(rules_.lease({.node = "b", .caps = {"on:b"}}, now_).value());
  EXPECT_TRUE(rules_.lease({.node = "b", .caps = all}, now_).value());
}

TEST_F(Rules, ALeaseThatRanOutIsItsHoldersUntilAnotherTakesIt) {
  add({lan_unit("u")});
  const auto lease = take("a");
  now_ += 10 * kLeaseMs;
  EXPECT_TRUE(beat(*lease));
  EXPECT_FALSE(take("b")) << "the late heartbeat came first";
  now_ += 10 * kLeaseMs;
  EXPECT_EQ(complete(*lease), LeaseAnswer::kCounted);
}

TEST_F(Rules, ALaptopThatSleptForEightHoursKeepsWhatNobodyTook) {
  add({lan_unit("u"), lan_unit("v")});
  const auto first = take("a"), second = take("a");
  now_ += 8 * 3'600'000;
  ASSERT_EQ(take("b")->unit, "u");
  EXPECT_EQ(complete(*first), LeaseAnswer::kStale);
  EXPECT_EQ(complete(*second), LeaseAnswer::kCounted);
}

TEST_F(Rules, WhatANodesClockSaysIsNotBelieved) {
  constexpr std::int64_t kDay = 86'400'000;
  for (const std::int64_t off : {-kDay, kDay}) {
    add({lan_unit(off < 0 ? "u" : "v")});
    Grant wrong = *take("a");
    wrong.since_ms += off;
    wrong.until_ms += off;
    EXPECT_TRUE(beat(wrong));
    EXPECT_EQ(lapses_ms(unit(wrong.unit)), now_ + kLeaseMs);
    now_ += 1'000;
    EXPECT_EQ(complete(wrong), LeaseAnswer::kCounted);
    EXPECT_EQ(unit(wrong.unit).took_ms, 1'000);
  }
}

TEST_F(Rules, OneNameOnTwoBoxesCompletesNothingTwice) {
  add({lan_unit("u")});
  const auto one = take("a");
  EXPECT_FALSE(take("a")) << "the second box gets nothing of what the first one has";
  now_ += kLeaseMs + 1;
  const auto two = take("a");
  ASSERT_TRUE(two);
  EXPECT_EQ(complete(*one), LeaseAnswer::kStale);
  EXPECT_EQ(complete(*two), LeaseAnswer::kCounted);
  EXPECT_EQ(complete(*one), LeaseAnswer::kStale);
}

TEST_F(Rules, HeartbeatsKeepALease) {
  add({lan_unit("u")});
  const auto lease = take("a");
  for (int i = 0; i < 20; ++i) {
    now_ += kBeatMs;
    ASSERT_TRUE(beat(*lease));
    ASSERT_FALSE(take("b"));
  }
  Grant forged = *lease;
  forged.node = "b";
  EXPECT_FALSE(beat(forged));
  EXPECT_EQ(complete(forged), LeaseAnswer::kStale);
}

TEST_F(Rules, AnAnswerThatWasLostIsGivenAgain) {
  add({lan_unit("u")});
  const auto lease = take("a");
  EXPECT_EQ(complete(*lease, made("x")), LeaseAnswer::kCounted);
  EXPECT_EQ(complete(*lease, made("x")), LeaseAnswer::kAlready);
  EXPECT_FALSE(unit("u").alarm);
}

TEST_F(Rules, AUnitThatKillsNodesIsGivenUp) {
  add({lan_unit("u")});
  int attempts = 0;
  for (const char* node : {"a", "b", "a"}) {
    const auto lease = take(node);
    ASSERT_TRUE(lease) << ++attempts;
    now_ += kLeaseMs + 1;
  }
  EXPECT_FALSE(take("c"));
  EXPECT_EQ(unit("u").state, UnitState::kGaveUp);
  EXPECT_EQ(unit("u").result.reason, kNodeFailures);
  EXPECT_EQ(unit("u").attempts, (std::map<std::string, int>{{"a", 2}, {"b", 1}}));
}

TEST_F(Rules, OneNodeAloneTriesTwiceAsOften) {
  add({lan_unit("u")});
  for (int i = 0; i < kPoisonAttemptsAlone; ++i) {
    const auto lease = take("a");
    ASSERT_TRUE(lease) << i;
    EXPECT_EQ(rules_.fail(*lease), LeaseAnswer::kCounted);
  }
  EXPECT_FALSE(take("a"));
  EXPECT_EQ(unit("u").result.reason, kNodeFailures);
}

TEST_F(Rules, WhatIsGivenBackIsNoAttempt) {
  add({lan_unit("u")});
  for (int i = 0; i < 10; ++i) ASSERT_EQ(rules_.release(*take("a")), LeaseAnswer::kCounted);
  EXPECT_TRUE(unit("u").attempts.empty());
}

TEST_F(Rules, ASlowUnitIsCopiedOnceToWhoHasNothingElse) {
  add({lan_unit("1"), lan_unit("2"), lan_unit("3"), lan_unit("4"), lan_unit("slow", "code")});
  for (int i = 0; i < 4; ++i) {
    const auto lease = take("a");
    now_ += 1000;
    complete(*lease);
  }
  const auto slow = take("a");
  ASSERT_EQ(slow->unit, "slow");
  now_ += 2000;
  EXPECT_FALSE(take("b")) << "not older than twice the median";
  now_ += 1;
  EXPECT_FALSE(take("a")) << "it holds it itself";
  const auto copy = take("b");
  ASSERT_TRUE(copy);
  EXPECT_TRUE(copy->copy);
  EXPECT_FALSE(take("c")) << "one copy at most";
  EXPECT_EQ(complete(*copy, made("x")), LeaseAnswer::kCounted);
  EXPECT_FALSE(beat(*slow)) << "so that it stops";
  EXPECT_EQ(complete(*slow, made("x")), LeaseAnswer::kStale);
  EXPECT_FALSE(unit("slow").alarm);
}

TEST_F(Rules, TwoThatMakeDifferentThingsAreAnAlarm) {
  add({lan_unit("u")});
  const auto one = take("a");
  now_ += kLeaseMs + 1;
  const auto other = take("b");
  EXPECT_EQ(complete(*other, made("x")), LeaseAnswer::kCounted);
  EXPECT_EQ(complete(*one, made("y")), LeaseAnswer::kAlarm);
  EXPECT_TRUE(unit("u").alarm);
  EXPECT_EQ(unit("u").result.hash, "x") << "what was counted stays";
}

TEST_F(Rules, NodesThatAreDrainedOrGoneGetNothing) {
  add({lan_unit("u"), lan_unit("v"), lan_unit("w")});
  const auto drained = take("a"), quarantined = take("b"), forgotten = take("c");
  ASSERT_TRUE(rules_.set_node_state("a", NodeState::kDraining));
  ASSERT_TRUE(rules_.set_node_state("b", NodeState::kQuarantined));
  ASSERT_TRUE(rules_.set_node_state("c", NodeState::kForgotten));
  EXPECT_FALSE(take("a"));
  EXPECT_EQ(complete(*drained), LeaseAnswer::kCounted) << "what it holds it ends";
  EXPECT_EQ(complete(*quarantined), LeaseAnswer::kStale);
  EXPECT_EQ(rules_.heartbeat("c", {}, {}, now_).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(rules_.lease({"c"}, now_).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(rules_.lease({"stranger"}, now_).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(complete(*forgotten), LeaseAnswer::kStale);
  EXPECT_TRUE(unit("v").attempts.empty());
  put("d", Reach::kLan);
  EXPECT_EQ(take("d")->unit, "v");
}

// 200 random fleets: no unit is ever leased where it may not go, or by who cannot do it.
TEST(RandomFleets, NoUnitGoesBeyondItsLabel) {
  constexpr Reach kReaches[] = {Reach::kLocal, Reach::kLan, Reach::kAny};
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::uint32_t n) { return static_cast<std::size_t>(random() % n); };
    LeaseRules rules;
    std::vector<NodeRow> nodes;
    for (std::size_t i = 0; i < 2 + pick(6); ++i) {
      NodeRow& node = nodes.emplace_back();
      node.id = fmt::format("n{}", i);
      node.clearance = kReaches[pick(3)];
      for (const char* cap : {"x", "y"})
        if (pick(2)) node.caps.emplace_back(cap);
      ASSERT_TRUE(rules.put_node(node));
    }
    std::vector<UnitSpec> units;
    for (std::size_t i = 0; i < 40; ++i) {
      UnitSpec& unit = units.emplace_back();
      unit.id = fmt::format("u{:02}", i);
      unit.privacy = kReaches[pick(3)];
      if (pick(3) == 0) unit.home = nodes[pick(static_cast<std::uint32_t>(nodes.size()))].id;
      if (pick(3) == 0) unit.needs = {pick(2) ? "x" : "y"};
      if (i > 0 && pick(4) == 0) unit.deps = {units[pick(static_cast<std::uint32_t>(i))].id};
    }
    ASSERT_TRUE(rules.add_units("r", units));
    std::int64_t now = 1000;
    std::map<std::string, int> counted;
    for (int step = 0; step < 300; ++step) {
      now += static_cast<std::int64_t>(pick(20'000));
      const NodeRow& node = nodes[pick(static_cast<std::uint32_t>(nodes.size()))];
      Wish wish;
      wish.node = node.id;
      wish.caps = node.caps;
      const auto lease = rules.lease(wish, now);
      ASSERT_TRUE(lease);
      if (!*lease) continue;
      const UnitRow& unit = *rules.unit("r", (*lease)->unit);
      const bool home = unit.spec.home == node.id;
      const Reach away =
          unit.spec.home.empty() ? node.clearance : std::max(node.clearance, Reach::kLan);
      EXPECT_TRUE(home || away <= unit.spec.privacy) << seed << " " << unit.spec.id;
      for (const std::string& need : unit.spec.needs)
        EXPECT_NE(std::ranges::find(node.caps, need), node.caps.end()) << seed;
      for (const std::string& dep : unit.spec.deps)
        EXPECT_EQ(rules.unit("r", dep)->state, UnitState::kPassed) << seed;
      if (pick(3))
        counted[(*lease)->unit] += rules.complete(**lease, {}, now) == LeaseAnswer::kCounted;
    }
    for (const auto& [id, times] : counted) EXPECT_LE(times, 1) << seed << " " << id;
  }
}

}  // namespace
}  // namespace lathe::books
