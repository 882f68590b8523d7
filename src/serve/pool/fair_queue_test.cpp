// Turns, against the bound that is proved of them: over random arrivals, at every step.
#include "serve/pool/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace lathe::serve {
namespace {

const auto kAny = [](FairQueue::Id) { return true; };

Caller client(const std::string& key, double weight = 1,
              CallClass call_class = CallClass::kInteractive) {
  return {key, call_class, weight};
}

// A batch of so many slots in virtual seconds: a request takes its prompt's when it comes in, and
// one token's a step until it is done.
struct Machine {
  static constexpr std::size_t kSlots = 8;
  static constexpr double kPromptToken = 0.001, kToken = 0.01;
  static constexpr int kLongestPrompt = 2000, kLongestAnswer = 100;
  static constexpr double kBound =
      2 * std::max(kLongestPrompt * kPromptToken, kSlots* kLongestAnswer* kToken);

  struct Job {
    Caller caller;
    int prompt = 1, answer = 1;
  };
  FairQueue queue;
  std::map<FairQueue::Id, Job> waiting;
  std::vector<Job> running;
  std::map<std::string, double> service;  // weighted seconds
  FairQueue::Id next_id = 1;

  void arrive(const Caller& caller, int prompt, int answer) {
    queue.add(next_id, caller);
    waiting.emplace(next_id++, Job{caller, prompt, answer});
  }
  void serve(const Caller& caller, double seconds) {
    queue.charge(caller, seconds);
    service[caller.key] += seconds / caller.weight;
  }
  void step() {
    while (running.size() < kSlots) {
      const auto id = queue.next(kAny, false);
      if (!id) break;
      const Job job = waiting.at(*id);
      queue.remove(*id, job.caller);
      waiting.erase(*id);
      serve(job.caller, job.prompt * kPromptToken);
      running.push_back(job);
    }
    for (Job& job : running) {
      serve(job.caller, kToken);
      --job.answer;
    }
    std::erase_if(running, [](const Job& job) { return job.answer == 0; });
  }
  bool waits(const std::string& key) const {
    return std::ranges::any_of(waiting,
                               [&](const auto& row) { return row.second.caller.key == key; });
  }
};

// Ten thousand arrivals of five clients with weights of their own; where two have waited since
// some step, what they got since then lies within the bound, whichever step that was.
TEST(FairQueue, ClientsThatBothWaitGetTheSameWithinTheProvedBound) {
  std::mt19937 random(16);
  std::vector<Caller> clients;
  for (int i = 0; i < 5; ++i)
    clients.push_back(client(std::string(1, static_cast<char>('a' + i)), 1 + i % 3));
  Machine machine;
  struct Pair {
    double least = 0, most = 0;  // of the difference, while both wait
    bool waits = false;
  };
  std::map<std::pair<std::size_t, std::size_t>, Pair> pairs;
  double widest = 0;
  for (int arrivals = 0; arrivals < 10'000;) {
    // Bursts of one client now, a trickle of others then.
    const Caller& who = clients[random() % clients.size()];
    const int burst = random() % 20 == 0 ? 40 : static_cast<int>(random() % 2);
    for (int i = 0; i < burst; ++i, ++arrivals)
      machine.arrive(who, 1 + static_cast<int>(random() % Machine::kLongestPrompt),
                     1 + static_cast<int>(random() % Machine::kLongestAnswer));
    machine.step();
    for (std::size_t a = 0; a < clients.size(); ++a) {
      for (std::size_t b = a + 1; b < clients.size(); ++b) {
        const double difference = machine.service[clients[a].key] - machine.service[clients[b].key];
        Pair& pair = pairs[{a, b}];
        const bool both = machine.waits(clients[a].key) && machine.waits(clients[b].key);
        if (!both || !pair.waits) pair = {difference, difference, both};
        pair.least = std::min(pair.least, difference);
        pair.most = std::max(pair.most, difference);
        ASSERT_LE(pair.most - pair.least, Machine::kBound) << "after " << arrivals;
        widest = std::max(widest, pair.most - pair.least);
      }
    }
  }
  EXPECT_GT(widest, 0.1 * Machine::kBound) << "or nothing was tested";
}

TEST(FairQueue, WeightsOneAndThreeGetOneAndThree) {
  Machine machine;
  const Caller one = client("one", 1), three = client("three", 3);
  for (int i = 0; i < 4000; ++i) {
    machine.arrive(one, 100, 20);
    machine.arrive(three, 100, 20);
  }
  for (int i = 0; i < 4000; ++i) machine.step();
  ASSERT_TRUE(machine.waits("one") && machine.waits("three"));
  const double ratio = machine.service["three"] * 3 / machine.service["one"];
  EXPECT_NEAR(ratio, 3, 0.15);
}

TEST(FairQueue, WhoComesBackHasSavedNothingUp) {
  FairQueue queue;
  const Caller busy = client("busy"), idle = client("idle");
  queue.add(1, busy);
  queue.add(2, busy);
  queue.charge(busy, 100);
  queue.add(3, idle);
  EXPECT_EQ(queue.counter(idle), 100);
  EXPECT_EQ(queue.next(kAny, false), 1U) << "equal counters: who came first";
  queue.charge(busy, 0.1);
  EXPECT_EQ(queue.next(kAny, false), 3U);
  // Where nobody waits, the one who waited last says where to begin.
  for (const FairQueue::Id id : {1U, 2U}) queue.remove(id, busy);
  queue.remove(3, idle);
  EXPECT_EQ(queue.next(kAny, false), std::nullopt);
  queue.add(4, client("new"));
  EXPECT_EQ(queue.counter(client("new")), 100);
  // What it was given since then counts too.
  queue.remove(4, client("new"));
  queue.charge(client("new"), 50);
  queue.add(5, client("newer"));
  EXPECT_EQ(queue.counter(client("newer")), 150);
}

TEST(FairQueue, OfOneClientTheOldestAndWhatCannotGoHoldsNobodyElseUp) {
  FairQueue queue;
  queue.add(1, client("a"));
  queue.add(2, client("b"));
  queue.add(3, client("a"));
  EXPECT_EQ(queue.next([](FairQueue::Id id) { return id != 1; }, false), 2U);
  queue.remove(1, client("a"));
  queue.charge(client("b"), 1);
  EXPECT_EQ(queue.next(kAny, false), 3U);
  queue.remove(3, client("a"));
  queue.remove(3, client("a"));
  EXPECT_EQ(queue.next(kAny, false), 2U);
}

TEST(FairQueue, InteractiveComesFirstUnlessItIsTheOthersTurn) {
  FairQueue queue;
  const Caller night = client("night", 1, CallClass::kBackground);
  queue.add(1, night);
  queue.add(2, client("day"));
  queue.charge(client("day"), 1000);
  EXPECT_EQ(queue.next(kAny, false), 2U);
  EXPECT_EQ(queue.next(kAny, true), 1U);
  queue.remove(2, client("day"));
  EXPECT_EQ(queue.next(kAny, false), 1U);
}

// Endless interactive load in steps of any length: background gets its share, and not much more.
TEST(ClassTurns, BackgroundGetsItsShareAndNoMore) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> step(0.01, 0.2);
  ClassTurns turns;
  turns.meet(true);
  EXPECT_FALSE(turns.background()) << "interactive comes first";
  double background = 0, all = 0;
  for (int i = 0; i < 20'000; ++i) {
    const bool theirs = turns.background();
    const double seconds = step(random);
    turns.charge(theirs ? CallClass::kBackground : CallClass::kInteractive, seconds);
    background += theirs ? seconds : 0;
    all += seconds;
    ASSERT_GE(background, ClassTurns::kBackgroundShare * all - 0.2) << i;
  }
  EXPECT_NEAR(background / all, ClassTurns::kBackgroundShare, 0.001);
}

// A client that sends one short background request after the other gets no more by that.
TEST(ClassTurns, ComingAndGoingPaysNothing) {
  ClassTurns turns;
  double background = 0, all = 0;
  for (int i = 0; i < 2000; ++i) {
    turns.meet(false);
    turns.meet(true);
    for (int k = 0; k < 3; ++k) {
      const bool theirs = turns.background();
      turns.charge(theirs ? CallClass::kBackground : CallClass::kInteractive, 0.1);
      background += theirs ? 0.1 : 0;
      all += 0.1;
    }
  }
  EXPECT_LE(background / all, 0.06);
}

TEST(ClassTurns, AloneNothingIsOwed) {
  ClassTurns turns;
  turns.charge(CallClass::kInteractive, 100);
  turns.meet(true);
  EXPECT_FALSE(turns.background());
}

}  // namespace
}  // namespace lathe::serve
