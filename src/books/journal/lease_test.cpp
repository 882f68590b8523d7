// The state machine of a lease: every answer a store can give, at every point of the patience.
#include "books/journal/lease.h"

#include <gtest/gtest.h>

namespace lathe::books {
namespace {

using State = LeaseAsk::State;

TEST(LeaseAsk, AFreeRunIsHeldAtOnce) {
  EXPECT_EQ(after_answer({.patience = Milliseconds(0)}, false).state, State::kHolding);
  EXPECT_EQ(after_answer({.patience = Milliseconds(1000)}, false).state, State::kHolding);
}

TEST(LeaseAsk, WithoutPatienceATakenRunIsRefusedAtOnce) {
  EXPECT_EQ(after_answer({.patience = Milliseconds(0)}, true).state, State::kRefused);
}

// It is asked for once more than there are pauses in the patience: a lease that is given back in
// the last one is had.
TEST(LeaseAsk, IsAskedForUntilThePatienceIsAtItsEnd) {
  for (const int pauses : {1, 2, 50}) {
    LeaseAsk ask{.patience = pauses * kLeasePause};
    int asked = 0;
    for (; ask.state == State::kAsking; ++asked) ask = after_answer(ask, true);
    EXPECT_EQ(ask.state, State::kRefused);
    EXPECT_EQ(asked, pauses + 1);
    EXPECT_EQ(ask.waited, ask.patience);
  }
  LeaseAsk late{.patience = 2 * kLeasePause};
  late = after_answer(after_answer(late, true), true);
  ASSERT_EQ(late.state, State::kAsking);
  EXPECT_EQ(after_answer(late, false).state, State::kHolding);
}

TEST(LeaseAsk, PatienceThatIsNoWholeNumberOfPausesIsKeptToItsEnd) {
  LeaseAsk ask{.patience = kLeasePause + Milliseconds(1)};
  for (int i = 0; i < 2; ++i) {
    ask = after_answer(ask, true);
    ASSERT_EQ(ask.state, State::kAsking) << i;
  }
  EXPECT_EQ(after_answer(ask, true).state, State::kRefused);
}

// A store's hold ends with the lease that has it, wherever that was moved.
TEST(Lease, GivesBackOnce) {
  struct Counted : Hold {
    explicit Counted(int& counter) : ended(counter) {}
    ~Counted() override { ++ended; }
    int& ended;
  };
  int ends = 0;
  {
    Lease first("r1", std::make_unique<Counted>(ends));
    const Lease second = std::move(first);
    EXPECT_EQ(second.run(), "r1");
    EXPECT_EQ(ends, 0);
  }
  EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace lathe::books
