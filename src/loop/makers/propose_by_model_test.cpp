// Which move follows which lap, as a pure decision.
#include <gtest/gtest.h>

#include "loop/makers/maker.h"

namespace lathe::loop {
namespace {

struct Story {
  std::vector<std::string> ladder{"small", "large"};
  std::vector<Attempt> attempts;
  int best_of = 4, repairs = 2;

  Proposal next() const {
    const Json none = Json::object();
    const auto proposal = propose_by_model({none, ladder, {}, attempts, best_of, repairs});
    EXPECT_TRUE(proposal);
    return proposal.value_or(Proposal{});
  }
  // What the conductor does with a proposal.
  void played(bool gained, std::vector<Critique> critiques, bool made = true) {
    const Proposal proposal = next();
    Attempt attempt;
    attempt.lap = static_cast<int>(attempts.size()) + 1;
    attempt.move = proposal.move;
    attempt.rung = proposal.rung;
    attempt.made = made;
    attempt.gained = gained;
    attempt.critiques = std::move(critiques);
    attempts.push_back(attempt);
  }
};

const std::vector<Critique> kPlaced{{"src/a.c:3", "must", "wrong", "", ""}};
const std::vector<Critique> kVague{{"", "must", "too dull", "", ""}};

TEST(ProposeByModel, BeginsWithOneSampleOnTheLowestRung) {
  const Proposal first = Story{}.next();
  EXPECT_EQ(first.move, Move::kSample);
  EXPECT_EQ(first.rung, 0);
  EXPECT_EQ(first.n, 1);
}

TEST(ProposeByModel, RepairsWhileThereIsAPlaceAndThenSamplesAfresh) {
  Story story;
  story.played(true, kPlaced);
  EXPECT_EQ(story.next().move, Move::kRepair);
  EXPECT_NE(story.next().reason.find("src/a.c:3"), std::string::npos);
  story.played(true, kPlaced);
  EXPECT_EQ(story.next().move, Move::kRepair);
  story.played(true, kPlaced);
  EXPECT_EQ(story.next().move, Move::kResample);  // both repairs are used
  EXPECT_EQ(story.next().n, 4);
  story.played(true, kPlaced);
  EXPECT_EQ(story.next().move, Move::kRepair);  // of the fresh one
}

TEST(ProposeByModel, WithoutAPlaceOneRepair) {
  Story story;
  story.played(true, kVague);
  EXPECT_EQ(story.next().move, Move::kRepair);
  story.played(true, kVague);
  EXPECT_EQ(story.next().move, Move::kResample);
}

TEST(ProposeByModel, NoRepairsWanted) {
  Story story;
  story.repairs = 0;
  story.played(true, kPlaced);
  EXPECT_EQ(story.next().move, Move::kResample);
}

TEST(ProposeByModel, TwoLapsWithoutGainFreshStartThenTheNextRung) {
  Story story;
  story.played(true, kPlaced);
  story.played(false, kPlaced);
  EXPECT_EQ(story.next().move, Move::kRepair);  // one lap without gain
  story.played(false, kPlaced);
  EXPECT_EQ(story.next().move, Move::kResample);
  story.played(false, kPlaced);
  const Proposal up = story.next();
  EXPECT_EQ(up.move, Move::kEscalate);
  EXPECT_EQ(up.rung, 1);
  EXPECT_NE(up.reason.find("large"), std::string::npos);
  story.played(false, kPlaced);
  EXPECT_EQ(story.next().rung, 1);  // never down again
  EXPECT_EQ(story.next().move, Move::kRepair);
}

TEST(ProposeByModel, LastRungKeepsSampling) {
  Story story;
  story.ladder = {"only"};
  for (int i = 0; i < 6; ++i) story.played(false, {}, false);
  EXPECT_EQ(story.next().move, Move::kResample);
  EXPECT_EQ(story.next().rung, 0);
}

TEST(ProposeByModel, UnusableAnswersBeforeAnyGainAreSampledAfresh) {
  Story story;
  story.played(false, {}, false);
  EXPECT_EQ(story.next().move, Move::kResample);
}

TEST(ProposeByModel, UnusableRepairIsRepairedFromTheBest) {
  Story story;
  story.played(true, kPlaced);
  story.played(false, {}, false);
  EXPECT_EQ(story.next().move, Move::kRepair);
}

TEST(ProposeByModel, EmptyLadderAndPurity) {
  Story story;
  story.ladder.clear();
  for (int i = 0; i < 5; ++i) story.played(false, kPlaced);
  EXPECT_EQ(story.next().rung, 0);
  EXPECT_EQ(dump_json(story.next().setting), dump_json(story.next().setting));
}

}  // namespace
}  // namespace lathe::loop
