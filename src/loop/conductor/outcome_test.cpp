// What a run came to: by its verdicts alone, whatever a record says, and again where a verdict
// falls.
#include "loop/conductor/state_test.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

// Four red tests are repaired and a green one is broken: nothing of that is a pass.
TEST_F(StateTest, AGroupWhoseUnitsAllPassAndWhoseGateFailsHasFailed) {
  recipe_.maker = &kListedGroup;
  recipe_.make_options["moves"] = moves({"sample"});
  begin(2);
  decide();
  made("a");
  verdict(Outcome::kFail, 0.8, {"test_vat"}, 0, 0, 0, 0,
          {{"U0", Outcome::kPass}, {"U1", Outcome::kPass}});
  EXPECT_EQ(decide(), "end: failed");
  EXPECT_THAT(state_.end_why, HasSubstr("2 of 2 units passed, but what was made does not: "));
  EXPECT_THAT(state_.end_why, HasSubstr("wrong: test_vat"));
}

// A journal says what it likes: a foreign one, one of an older lathe.
TEST_F(StateTest, APassThatTheVerdictsDoNotGiveIsNone) {
  recipe_.maker = &kListedGroup;
  recipe_.make_options["moves"] = moves({"sample"});
  for (const bool unit_too : {false, true}) {
    begin(1);
    decide();
    made("a");
    verdict(Outcome::kFail, 0.8, {"x"});
    add(*next_decision(state_));
    auto unit = std::get<TrackEnded>(*next_decision(state_));
    unit.passed |= unit_too;
    add(unit);
    EXPECT_EQ(state_.tracks[0].state, TrackState::kGaveUp);
    add(RunEnded{RunResult::kPassed, "all 1 units passed", 1, 0});
    EXPECT_EQ(result_name(state_.end_state), "failed");
    EXPECT_EQ(result_name(state_.end_said), "passed");
    EXPECT_THAT(state_.end_why, HasSubstr("its record says passed"));
  }
}

TEST_F(StateTest, NothingThatWasLookedAtIsNotJudged) {
  recipe_.make_options["moves"] = moves({"sample"});
  begin(2);
  decide();
  add(Ticked{}, 60'000);
  decide();
  EXPECT_EQ(result_name(state_.end_state), "not_judged");
  // An answer that was read and could not be used is the model's own fault.
  begin(1);
  decide();
  made_error(ErrorKind::kInvalid);
  decide();
  EXPECT_EQ(result_name(state_.end_state), "failed");
  // Judges without an opinion judge nothing.
  begin(1);
  decide();
  made("a");
  verdict(Outcome::kAbstain, 0);
  decide();
  EXPECT_EQ(result_name(state_.end_state), "not_judged");
}

TEST_F(StateTest, ResumeTakesUpWhatEndedWithoutAVerdict) {
  recipe_.ladder = {"small"};
  recipe_.make_options["moves"] = moves({"sample", "repair"});
  begin(3);
  decide();
  made("a", 0, 0);
  verdict(Outcome::kPass, 1, {}, 0, 0, 0, 0);
  decide();
  made_error(ErrorKind::kUnavailable, 0, 1);  // the server is down
  made("c", 0, 2);
  verdict(Outcome::kError, 0, {}, 0, 0, 0, 2);
  verdict(Outcome::kError, 0, {}, 0, 0, 1, 2);
  EXPECT_EQ(decide(), "end: not_judged");
  EXPECT_THAT(state_.end_why, HasSubstr("1 of 3 units passed; "));
  add(Resumed{});
  EXPECT_FALSE(state_.ended);
  EXPECT_EQ(state_.tracks[0].state, TrackState::kPassed);
  decide();
  EXPECT_EQ(runnable(), (std::vector<std::string>{"make:1:1:0:0:0", "judge:2:1:0:0:0"}));
  made("b", 0, 1);
  verdict(Outcome::kPass, 1, {}, 0, 0, 0, 1);
  verdict(Outcome::kPass, 1, {}, 0, 0, 0, 2);
  EXPECT_EQ(decide(), "end: passed");
  RunState copy = state_;
  EXPECT_FALSE(apply(copy, {copy.next_seq, 0, std::nullopt, Resumed{}}));
}

TEST_F(StateTest, WhatABrokenNodeJudgedIsJudgedAgain) {
  begin(3);
  decide();
  // One passes at the broken node, one at home, one fails there and is in its second lap.
  for (std::size_t track = 0; track < 3; ++track) made("a" + std::to_string(track), 0, track);
  verdict(Outcome::kPass, 1, {}, 0, 0, 0, 0, {}, "box", 1'000);
  decide();
  verdict(Outcome::kPass, 1, {}, 0, 0, 0, 1, {}, std::nullopt, 1'100);
  decide();
  verdict(Outcome::kFail, 0.2, {"f"}, 0, 0, 0, 2, {}, "box", 1'200);
  EXPECT_EQ(decide(), "lap: next move");
  EXPECT_EQ(state_.open_tracks, 1U);

  EXPECT_TRUE(rests_on(state_, "box", 1'200));
  EXPECT_FALSE(rests_on(state_, "box", 1'201));
  EXPECT_FALSE(rests_on(state_, "desk", 0));
  add(Doubted{"box", 1'000}, 1'300);
  EXPECT_FALSE(rests_on(state_, "box", 0));
  EXPECT_EQ(decide(), "none");
  EXPECT_EQ(state_.open_tracks, 2U);
  EXPECT_EQ(state_.tracks[0].state, TrackState::kOpen);
  EXPECT_EQ(state_.tracks[1].state, TrackState::kPassed);
  EXPECT_EQ(best_candidate(state_.tracks[0]), nullptr);
  // The judge is asked once more; what it failed before stays behind.
  EXPECT_EQ(runnable(), (std::vector<std::string>{"judge:0:1:0:0:1", "make:2:2:0:0:0"}));
  verdict(Outcome::kFail, 0.4, {"g"}, 0, 0, 1, 0);
  EXPECT_EQ(decide(), "lap: next move");
  EXPECT_FALSE(state_.tracks[0].laps[0].rank.passed);
}

TEST_F(StateTest, AVerdictThatIsDoubtedTwiceIsNone) {
  begin();
  decide();
  made("a");
  verdict(Outcome::kPass, 1, {}, 0, 0, 0, 0, {}, "box", 1'000);
  EXPECT_EQ(next_decision(state_).has_value(), true);
  // The doubt comes between the verdict and what follows from it, which replay would refuse; the
  // state is the same.
  add(Doubted{"box", 0});
  verdict(Outcome::kPass, 1, {}, 0, 0, 1, 0, {}, "other", 2'000);
  add(Doubted{"other", 0});
  EXPECT_EQ(decide(), "end: not_judged");
  EXPECT_THAT(state_.end_why, HasSubstr("node other was found broken"));
  EXPECT_EQ(state_.end_state, RunResult::kNotJudged);
}

TEST_F(StateTest, TheWholeIsJudgedAgain) {
  recipe_.judges.push_back({.name = "w", .kind = &kGate, .scope = Scope::kWhole});
  begin();
  decide();
  play("a", 1, {}, Outcome::kPass);
  Judgement judgement;
  judgement.outcome = Outcome::kPass;
  judgement.score = 1;
  // A second judge of the whole is not heard yet.
  state_.recipe.judges.push_back({.name = "v", .kind = &kGate, .scope = Scope::kWhole});
  add(VerdictGiven{
      .call = CallId::whole(1, 0), .judge_name = "w", .judgement = judgement, .node = "box"});
  EXPECT_EQ(runnable(), std::vector<std::string>{"whole:0:0:0:2:0"});
  add(Doubted{"box", 0});
  EXPECT_EQ(runnable(), (std::vector<std::string>{"whole:0:0:0:1:1", "whole:0:0:0:2:0"}));
  // What is said of the whole is of other parts once one of them is judged again.
  add(VerdictGiven{.call = CallId::whole(2, 0), .judge_name = "v", .judgement = judgement});
  state_.tracks[0].laps[0].candidates[0].verdicts[0].node = "mill";
  add(Doubted{"mill", 0});
  // One that was under way then is of no whole that is there.
  RunState copy = state_;
  EXPECT_FALSE(apply(copy, {copy.next_seq, 0, std::nullopt,
                            VerdictGiven{.call = CallId::whole(1, 0), .judgement = judgement}}));
  verdict(Outcome::kPass, 1, {}, 0, 0, 1);
  decide();
  EXPECT_EQ(runnable(), (std::vector<std::string>{"whole:0:0:0:1:0", "whole:0:0:0:2:0"}));
}

TEST_F(StateTest, WhatCouldNotBeJudgedCountsNothing) {
  recipe_.judges.push_back({.name = "m", .kind = &kGate, .stage = Stage::kMeasure});
  begin();
  decide();
  made("blank");
  verdict(Outcome::kPass, 1, {}, 0, 0);
  verdict(Outcome::kError, 0, {}, 0, 1);
  verdict(Outcome::kError, 0, {}, 0, 1, 1);
  const Track& track = state_.tracks[0];
  EXPECT_EQ(rank_of(state_, track, track.laps[0].candidates[0]).score, 0.5);
  EXPECT_EQ(weakest_score(track.laps[0].candidates[0]), 0);
  EXPECT_EQ(weakest_score(CandidateState()), 0);
  // A gate that fails leaves the dearer judges unheard: no reason to rank above who got further.
  begin();
  decide();
  made("a");
  verdict(Outcome::kFail, 0.9, {"x"}, 0, 0);
  EXPECT_EQ(rank_of(state_, state_.tracks[0], state_.tracks[0].laps[0].candidates[0]).score, 0.45);
}

}  // namespace
}  // namespace lathe::loop
