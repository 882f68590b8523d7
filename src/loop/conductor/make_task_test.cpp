// What a maker is asked, by the lap's move.
#include "loop/conductor/make_task.h"

#include <gmock/gmock.h>

#include "loop/terms/passage.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const MakerKind kMaker{.name = "maker", .needs_worker = true};
const JudgeKind kJudge{.name = "judge"};

// Two units; the first track's best candidate has a fault.
class MakeTaskTest : public ::testing::Test {
 protected:
  MakeTaskTest() {
    state_.recipe.maker = &kMaker;
    state_.recipe.make_options = {{"task", "write"}};
    state_.recipe.ladder = {"small", "large"};
    state_.recipe.judges = {{.name = "judge", .kind = &kJudge}};
    state_.units = {{"A", "first", {}}, {"B", "second", {}}};
    begin_tracks(state_);
    CandidateState candidate;
    candidate.made = true;
    candidate.blob = "b1";
    candidate.media_type = "text/plain";
    Judgement judgement;
    judgement.outcome = Outcome::kFail;
    judgement.critiques = {{"line 3", "must", "it is too long", "41 words", ""}};
    candidate.verdicts = {{"judge", 0, 0, judgement}};
    track_.units = {0};
    track_.laps = {LapState{.number = 1, .candidates = {candidate}, .closed = true, .best = 0}};
    track_.best_lap = 0;
  }
  MakeTask task(LapState lap) const {
    return make_task(state_, track_, lap, 2, "the prefix", "the best text");
  }
  RunState state_;
  Track track_;
};

TEST_F(MakeTaskTest, ARepairSeesTheBestAndItsFaults) {
  const MakeTask asked = task({.number = 2, .move = Move::kRepair, .setting = {{"seed", 1}}});
  EXPECT_EQ(asked.units.size(), 1U);
  EXPECT_EQ(asked.units.front().key, "A");
  EXPECT_EQ(asked.lap, 2);
  EXPECT_EQ(asked.n_index, 2);
  EXPECT_EQ(asked.rung, "small");
  EXPECT_EQ(asked.setting["seed"], 1);
  EXPECT_EQ(asked.prefix, "the prefix");
  EXPECT_EQ(asked.best, "the best text");
  ASSERT_EQ(asked.critiques.size(), 1U);
  EXPECT_THAT(asked.tail, HasSubstr("the best text"));
  EXPECT_THAT(asked.tail, HasSubstr("line 3: it is too long"));
}

TEST_F(MakeTaskTest, PassagesStandBeforeTheFeedback) {
  const std::vector<Passage> passages{{"a:0-9", "guide.md", "line 3", "The port is 8080."}};
  put_passages(passages, state_.units[0]);
  const std::string tail = task({.number = 2, .move = Move::kRepair}).tail;
  EXPECT_LT(tail.find("[1] guide.md, line 3:\n<<<\nThe port is 8080.\n>>>"),
            tail.find("the best text"));
}

TEST_F(MakeTaskTest, AFreshSampleBuildsOnNothing) {
  const LapState fresh{.number = 2, .move = Move::kResample, .rung = 1};
  EXPECT_EQ(built_on(track_, fresh), nullptr);
  const MakeTask asked = task(fresh);
  EXPECT_EQ(asked.best, std::nullopt);
  EXPECT_THAT(asked.critiques, IsEmpty());
  EXPECT_THAT(asked.tail, Not(HasSubstr("the best text")));
  EXPECT_EQ(asked.rung, "large");
}

TEST_F(MakeTaskTest, WhatIsNoTextIsNotShown) {
  track_.laps[0].candidates[0].media_type = "audio/wav";
  const MakeTask asked = task({.number = 2, .move = Move::kRepair});
  EXPECT_EQ(asked.best, "the best text");  // its bytes are there for who can use them
  EXPECT_THAT(asked.tail, Not(HasSubstr("the best text")));
  EXPECT_THAT(asked.tail, HasSubstr("it is too long"));
}

TEST_F(MakeTaskTest, BeyondTheLadderThereIsNoRung) {
  for (const int rung : {2, -1})  // a journal says what it likes
    EXPECT_EQ(task({.number = 2, .move = Move::kEscalate, .rung = rung}).rung, "") << rung;
}

}  // namespace
}  // namespace lathe::loop
