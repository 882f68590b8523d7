// Runs folded from records: passes, the ratchet, judges that fail, and every stop with its
// reason.
#include "loop/conductor/state.h"

#include <random>

#include "loop/conductor/feedback.h"
#include "loop/conductor/state_test.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

TEST_F(StateTest, APassEndsTheTrackAndTheRun) {
  begin();
  EXPECT_EQ(decide(), "lap: first lap");
  EXPECT_EQ(runnable(), std::vector<std::string>{"make:0:1:0:0:0"});
  made("a");
  EXPECT_EQ(decide(), "none");
  EXPECT_EQ(runnable(), std::vector<std::string>{"judge:0:1:0:0:0"});
  verdict(Outcome::kPass, 1);
  EXPECT_EQ(decide(), "end: passed");
  EXPECT_TRUE(state_.ended);
  EXPECT_TRUE(runnable().empty());
}

TEST_F(StateTest, TheRatchetKeepsTheBestAndNeverLosesIt) {
  begin();
  decide();
  play("a", 0.5, {"x"});
  play("b", 0.3, {"y"});
  EXPECT_EQ(best_candidate(state_.tracks[0])->blob, "a");
  play("c", 0.7, {"z"});
  EXPECT_EQ(best_candidate(state_.tracks[0])->blob, "c");
  EXPECT_FALSE(state_.tracks[0].laps[1].gained);
}

TEST_F(StateTest, AGroupCandidateThatLosesAPassIsNotTaken) {
  recipe_.maker = &kListedGroup;
  begin(3);
  decide();
  const auto outcome = [](int a, int b, int c) {
    const auto of = [](int x) { return x ? Outcome::kPass : Outcome::kFail; };
    return std::vector<UnitOutcome>{{"U0", of(a)}, {"U1", of(b)}, {"U2", of(c)}};
  };
  made("a");
  verdict(Outcome::kFail, 0.3, {"x"}, 0, 0, 0, 0, outcome(1, 0, 0));
  decide();
  made("b");
  verdict(Outcome::kFail, 0.9, {"y"}, 0, 0, 0, 0, outcome(0, 1, 1));  // more units, but U0 is lost
  decide();
  EXPECT_EQ(best_candidate(state_.tracks[0])->blob, "a");
  made("c");
  verdict(Outcome::kFail, 0.5, {"z"}, 0, 0, 0, 0, outcome(1, 1, 0));
  decide();
  EXPECT_EQ(best_candidate(state_.tracks[0])->blob, "c");
  EXPECT_EQ(units_passed(state_, state_.tracks[0]), (std::vector<bool>{true, true, false}));
}

TEST_F(StateTest, AJudgeErrorIsAskedOnceMoreAndThenNotJudged) {
  begin();
  decide();
  made("a");
  verdict(Outcome::kError, 0);
  EXPECT_EQ(decide(), "none");
  EXPECT_EQ(runnable(), std::vector<std::string>{"judge:0:1:0:0:1"});
  verdict(Outcome::kError, 0, {}, 0, 0, 1);
  EXPECT_EQ(decide(), "end: not_judged");
  EXPECT_EQ(rule_text(state_.tracks[0].rule), "not judged");
}

TEST_F(StateTest, AnErrorThatHealsIsForgotten) {
  begin();
  decide();
  made("a");
  verdict(Outcome::kError, 0);
  decide();
  verdict(Outcome::kPass, 1, {}, 0, 0, 1);
  EXPECT_EQ(decide(), "end: passed");
}

TEST_F(StateTest, AbstainingJudgesAloneNeverPassAnything) {
  begin();
  decide();
  made("a");
  verdict(Outcome::kAbstain, 1);
  decide();
  EXPECT_FALSE(state_.tracks[0].laps[0].rank.passed);
}

TEST_F(StateTest, AFailedGateSkipsTheDearerStageUnlessAllIsCollected) {
  recipe_.judges.push_back({.name = "m", .kind = &kModel, .stage = Stage::kRubric});
  for (const bool all : {false, true}) {
    recipe_.collect_all = all;
    begin();
    decide();
    made("a");
    verdict(Outcome::kFail, 0.2, {"x"});
    EXPECT_EQ(runnable_calls(state_, 100).empty(), !all);
  }
}

TEST_F(StateTest, StagesCombineAsTheRecipeSays) {
  recipe_.judges = {
      {.name = "a", .kind = &kGate}, {.name = "b", .kind = &kGate}, {.name = "c", .kind = &kGate}};
  struct Case {
    Combine combine;
    bool veto;  // of the first judge
    std::vector<Outcome> outcomes;
    Outcome expected;
  };
  using enum Outcome;
  const Combine all, any{Combine::How::kAny}, two{Combine::How::kAtLeast, 2},
      weighted{Combine::How::kWeighted, 0, 0.6};
  const std::vector<Case> cases{
      {all, false, {kPass, kPass, kPass}, kPass},
      {all, false, {kPass, kAbstain, kPass}, kPass},
      {all, false, {kPass, kFail, kError}, kFail},
      {all, false, {kPass, kPass, kError}, kError},
      {any, false, {kFail, kFail, kPass}, kPass},
      {any, false, {kFail, kError, kFail}, kError},
      {any, true, {kFail, kPass, kPass}, kFail},
      {two, false, {kPass, kFail, kPass}, kPass},
      {two, false, {kPass, kFail, kError}, kError},
      {two, false, {kFail, kFail, kError}, kFail},
      {two, false, {kPass, kAbstain, kFail}, kFail},
      {weighted, false, {kPass, kPass, kFail}, kPass},
      {weighted, false, {kPass, kFail, kFail}, kFail},
      {weighted, true, {kFail, kPass, kPass}, kFail},
      {all, false, {kAbstain, kAbstain, kAbstain}, kAbstain},
  };
  for (const Case& test : cases) {
    recipe_.combine[Stage::kGate] = test.combine;
    recipe_.judges[0].veto = test.veto;
    CandidateState candidate;
    candidate.made = true;
    for (std::size_t i = 0; i < 3; ++i) {
      Judgement judgement;
      judgement.outcome = test.outcomes[i];
      judgement.score = test.outcomes[i] == kPass ? 1 : 0;
      candidate.verdicts.push_back({recipe_.judges[i].name, i, 1, judgement});
    }
    EXPECT_EQ(outcome_of(recipe_, candidate), test.expected) << &test - cases.data();
  }
}

TEST_F(StateTest, StopsWithItsReason) {
  struct Case {
    Json moves;
    std::vector<std::tuple<std::string, double, std::string>> laps;  // blob, score, fault
    std::string rule;
  };
  const std::vector<Case> cases{
      {moves({"sample", "repair", "repair"}), {{"a", 0.1, "x"}, {"a", 0.1, "x"}}, "identical"},
      {moves({"sample", "repair", "repair", "repair", "repair"}),
       {{"a", 0.1, "x"}, {"b", 0.2, "y"}, {"a", 0.3, "x"}, {"b", 0.4, "y"}},
       "A-B-A-B"},
      {moves({"sample", "repair", "repair", "repair"}),
       {{"a", 0.1, "x"}, {"b", 0.2, "x"}, {"c", 0.3, "x"}},
       "same faults"},
      {moves({"sample", "repair", "repair", "repair"}),
       {{"a", 0.5, "x"}, {"b", 0.2, "y"}, {"c", 0.3, "z"}},
       "no gain"},
      {moves({"sample", "repair"}), {{"a", 0.5, "x"}, {"b", 0.6, "y"}}, "no further move"},
      {moves({"sample", "repair", "repair", "repair", "repair", "repair", "repair"}),
       {{"a", 0.1, "1"},
        {"b", 0.2, "2"},
        {"c", 0.3, "3"},
        {"d", 0.4, "4"},
        {"e", 0.5, "5"},
        {"f", 0.6, "6"}},
       "laps"},
  };
  for (const Case& test : cases) {
    recipe_.make_options["moves"] = test.moves;
    begin();
    decide();
    for (const auto& [blob, score, fault] : test.laps) {
      ASSERT_FALSE(state_.ended) << test.rule;
      play(blob, score, {fault});
    }
    EXPECT_TRUE(state_.ended) << test.rule;
    EXPECT_EQ(rule_text(state_.tracks[0].rule), test.rule);
    EXPECT_THAT(state_.tracks[0].why, ::testing::Not(::testing::IsEmpty()));
  }
}

TEST_F(StateTest, AStallAllowsOneFreshStartAndThenOnlyAHigherRung) {
  recipe_.make_options["moves"] = moves({"sample", "repair", "resample", "resample"});
  begin();
  decide();
  play("a", 0.5, {"x"});
  EXPECT_EQ(play("a", 0.5, {"x"}),
            "lap: next move");  // identical, but the next move is a fresh start
  play("a", 0.5, {"x"});
  EXPECT_EQ(rule_text(state_.tracks[0].rule), "identical");

  recipe_.make_options["moves"] = Json::array(
      {{{"move", "sample"}}, {{"move", "repair"}}, {{"move", "escalate"}, {"rung", 1}}});
  begin();
  decide();
  play("a", 0.5, {"x"});
  EXPECT_EQ(play("a", 0.5, {"x"}), "lap: next move");
  EXPECT_EQ(state_.tracks[0].laps.back().rung, 1);
}

TEST_F(StateTest, AJudgeThatContradictsItselfIsToBlame) {
  recipe_.judges.push_back({.name = "m", .kind = &kModel, .stage = Stage::kRubric});
  recipe_.judges[0].stage = Stage::kRubric;
  begin();
  decide();
  for (const Outcome outcome : {Outcome::kPass, Outcome::kFail}) {
    made("same");
    verdict(Outcome::kFail, 0.5, {"x"}, 0, 0);
    verdict(outcome, 0.5, {}, 0, 1);
    decide();
  }
  EXPECT_EQ(rule_text(state_.tracks[0].rule), "judge flap");
  EXPECT_THAT(state_.tracks[0].why, HasSubstr("'m'"));
}

TEST_F(StateTest, AnUnavailableRungIsLeftOpenly) {
  begin();
  decide();
  made_error(ErrorKind::kUnavailable);
  EXPECT_EQ(decide(), "lap: rung unavailable");
  EXPECT_EQ(state_.tracks[0].laps.back().rung, 1);
  EXPECT_THAT(state_.tracks[0].laps.back().reason, HasSubstr("it broke"));
  made_error(ErrorKind::kDenied);
  EXPECT_EQ(decide(), "end: not_judged");
  EXPECT_EQ(rule_text(state_.tracks[0].rule), "rung unavailable");
  EXPECT_THAT(state_.end_why, HasSubstr("it broke"));
}

// The last lap that is allowed: still a run that resume takes up, not one whose laps are used up.
TEST_F(StateTest, AnUnavailableRungUsesNoLapUp) {
  recipe_.stop.laps = 1;
  begin();
  decide();
  made_error(ErrorKind::kUnavailable);
  EXPECT_EQ(decide(), "lap: rung unavailable");
  made_error(ErrorKind::kTimeout);
  EXPECT_EQ(decide(), "end: not_judged");
  EXPECT_EQ(rule_text(state_.tracks[0].rule), "rung unavailable");
  add(Resumed{});
  EXPECT_EQ(decide(), "lap: first lap");
  EXPECT_EQ(play("a", 1, {}, Outcome::kPass), "end: passed");
}

TEST_F(StateTest, AnUnusableAnswerIsALapWithItsFaultAsCritique) {
  begin();
  decide();
  made_error(ErrorKind::kInvalid);
  EXPECT_EQ(decide(), "lap: next move");
  const auto attempts = attempts_of(state_.tracks[0]);
  ASSERT_EQ(attempts.size(), 1U);
  EXPECT_FALSE(attempts[0].made);
  EXPECT_THAT(feedback_tail(state_.tracks[0], state_.tracks[0].laps.back(), std::nullopt),
              HasSubstr("it broke"));
}

TEST_F(StateTest, BudgetsAreCheckedBeforeACallAndKeepTheBest) {
  begin(2);
  decide();
  made("a");
  verdict(Outcome::kFail, 0.5, {"x"});
  decide();
  add(Ticked{}, 60'000);
  EXPECT_TRUE(runnable().empty());
  decide();
  EXPECT_TRUE(state_.ended);
  EXPECT_EQ(rule_text(state_.tracks[0].rule), "budget");
  EXPECT_THAT(state_.tracks[0].why, HasSubstr("time"));
  EXPECT_EQ(best_candidate(state_.tracks[0])->blob, "a");

  begin();
  decide();
  CandidateMade paid{.call = CallId::make(0, 1, 0), .answer = Artifact{"b", 1, "", "", {}}};
  paid.usage.prompt_tokens = 900;
  paid.usage.completion_tokens = 100;
  add(paid);
  decide();
  EXPECT_THAT(state_.tracks[0].why, HasSubstr("1000 of 1000 tokens"));
}

TEST_F(StateTest, WholeJudgesComeLastAndCannotBeSkipped) {
  recipe_.judges.push_back({.name = "w", .kind = &kGate, .scope = Scope::kWhole});
  for (const Outcome outcome : {Outcome::kPass, Outcome::kFail, Outcome::kError}) {
    begin();
    decide();
    play("a", 1, {}, Outcome::kPass);
    ASSERT_FALSE(state_.ended);
    EXPECT_EQ(runnable(), std::vector<std::string>{"whole:0:0:0:1:0"});
    for (int attempt = 0; attempt < (outcome == Outcome::kError ? 2 : 1); ++attempt) {
      Judgement judgement;
      judgement.candidate = "x";
      judgement.outcome = outcome;
      add(VerdictGiven{
          .call = CallId::whole(1, attempt), .judge_name = "w", .judgement = judgement});
      decide();
    }
    EXPECT_EQ(result_name(state_.end_state), outcome == Outcome::kPass   ? "passed"
                                             : outcome == Outcome::kFail ? "failed"
                                                                         : "not_judged");
  }
}

TEST_F(StateTest, UnitsWaitForThoseTheyComeAfter) {
  begin(0);
  state_.units = {
      {"A", "a", Json::object()}, {"B", "b", {{"after", {"A"}}}}, {"C", "c", {{"after", {"B"}}}}};
  begin_tracks(state_);
  decide();
  EXPECT_EQ(runnable(), std::vector<std::string>{"make:0:1:0:0:0"});
  play("a", 1, {}, Outcome::kPass);
  EXPECT_EQ(runnable(), std::vector<std::string>{"make:1:1:0:0:0"});
  made_error(ErrorKind::kUnavailable, 0, 1);
  decide();
  made_error(ErrorKind::kUnavailable, 0, 1);
  decide();
  EXPECT_TRUE(state_.ended);
  EXPECT_EQ(result_name(state_.end_state), "not_judged");
  EXPECT_EQ(rule_text(state_.tracks[2].rule), "not judged");
  EXPECT_THAT(state_.tracks[2].why, HasSubstr("comes after B"));
}

TEST_F(StateTest, BestOfNTakesTheBestAndAllAreJudged) {
  recipe_.best_of = 3;
  begin();
  decide();
  EXPECT_EQ(runnable().size(), 3U);
  for (int n = 0; n < 3; ++n) made("c" + std::to_string(n), n);
  verdict(Outcome::kFail, 0.2, {"x"}, 0);
  verdict(Outcome::kPass, 0.9, {}, 1);
  EXPECT_EQ(decide(), "none");  // the third is still to come
  verdict(Outcome::kPass, 0.95, {}, 2);
  decide();
  EXPECT_EQ(best_candidate(state_.tracks[0])->blob, "c2");
}

TEST_F(StateTest, RecordsThatCannotFollowAreRefused) {
  begin();
  decide();
  const auto refused = [&](Event event) {
    RunState copy = state_;
    return !apply(copy, {copy.next_seq, 0, std::nullopt, std::move(event)}).has_value();
  };
  EXPECT_TRUE(refused(LapOpened{.track = 0, .lap = 3}));
  EXPECT_TRUE(refused(LapOpened{.track = 9, .lap = 1}));
  EXPECT_TRUE(refused(LapClosed{.track = 0, .lap = 1, .best = 7}));
  EXPECT_TRUE(refused(CandidateMade{.call = CallId::make(5, 1, 0)}));
  EXPECT_TRUE(refused(CandidateMade{.call = CallId::make(0, 1, 4)}));
  EXPECT_TRUE(refused(VerdictGiven{.call = CallId::judging(0, 1, 0, 3, 0)}));
  Judgement other;
  other.candidate = "not what was made";
  other.outcome = Outcome::kPass;
  other.score = 1;
  EXPECT_TRUE(refused(
      VerdictGiven{.call = CallId::judging(0, 1, 0, 0, 0), .judge_name = "g", .judgement = other}));
  EXPECT_TRUE(refused(TrackEnded{.track = 1}));
  EXPECT_TRUE(refused(RunBegun{}));
  RunState copy = state_;
  EXPECT_FALSE(apply(copy, {copy.next_seq + 1, 0, std::nullopt, Ticked{}}));
}

// The oracle: what "passed" promises, counted anew from the verdicts. The recipe has one gate and
// one rubric, each alone in its stage.
void expect_honest(const RunState& state, unsigned seed) {
  const auto passes = [&](const Track& track) {
    if (track.best_lap < 0) return false;
    const LapState& lap = track.laps[static_cast<std::size_t>(track.best_lap)];
    std::map<std::size_t, Outcome> last;
    for (const JudgedBy& verdict : lap.candidates[static_cast<std::size_t>(lap.best)].verdicts)
      last[verdict.index] = verdict.judgement.outcome;
    bool any = false;
    for (const auto& [judge, outcome] : last) {
      any |= outcome == Outcome::kPass;
      if (outcome == Outcome::kFail || outcome == Outcome::kError) return false;
    }
    return any && last.contains(0) && last.contains(1);
  };
  bool all = true;
  for (const Track& track : state.tracks) {
    EXPECT_EQ(track.state == TrackState::kPassed, passes(track)) << "seed " << seed;
    all &= passes(track);
  }
  std::optional<Outcome> whole;
  for (const JudgedBy& verdict : state.whole) whole = verdict.judgement.outcome;
  const bool has_whole = state.recipe.judges.size() == 3;
  all &= !has_whole || (whole && *whole != Outcome::kFail && *whole != Outcome::kError);
  EXPECT_EQ(state.end_state == RunResult::kPassed, all) << "seed " << seed << ": " << state.end_why;
}

TEST_F(StateTest, WhatWaitsForConsentIsKnownUntilItWaitsNoMore) {
  begin(2);
  add(*next_decision(state_));
  const CallId call = CallId::make(0, 1, 0);
  add(CallBegun{call, "k", "pure"});
  add(ConsentAsked{call, "ab12", "10 bytes to x"});
  EXPECT_EQ(state_.consents.at(call).about, "10 bytes to x");
  add(ConsentAnswered{call, "ab12", false});
  EXPECT_TRUE(state_.consents.empty());
  // A run that was stopped, or whose process was killed, waits for nothing.
  add(ConsentAsked{call, "ab12", ""});
  add(Paused{"stopped"});
  EXPECT_TRUE(state_.consents.empty());
  add(Resumed{});
  add(ConsentAsked{call, "ab12", ""});
  add(Resumed{});
  EXPECT_TRUE(state_.consents.empty());
}

// Whatever makers and judges answer, and in whatever order: the run ends, a unit or a run is never
// passed without a passing verdict, and the same records lead to the same decisions.
TEST_F(StateTest, EveryRandomRunEndsHonestly) {
  recipe_.judges.push_back({.name = "m", .kind = &kModel, .stage = Stage::kRubric});
  recipe_.best_of = 2;
  recipe_.make_options["moves"] = Json::array({{{"move", "sample"}},
                                               {{"move", "repair"}},
                                               {{"move", "resample"}},
                                               {{"move", "escalate"}, {"rung", 1}},
                                               {{"move", "repair"}, {"rung", 1}}});
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    const bool group = seed % 2 == 1;
    recipe_.maker = group ? &kListedGroup : &kListed;
    recipe_.judges.resize(2);
    if (seed % 3 == 0)
      recipe_.judges.push_back({.name = "w", .kind = &kGate, .scope = Scope::kWhole});
    begin(1 + static_cast<int>(random() % 5));
    std::vector<Event> log;
    const auto take = [&](Event event) {
      log.push_back(event);
      add(std::move(event));
    };
    for (int step = 0; step < 2000 && !state_.ended; ++step) {
      if (auto next = next_decision(state_)) {
        take(*next);
        continue;
      }
      if (chance(4) && rests_on(state_, "box", 0)) {
        take(Doubted{"box", 0});
        continue;
      }
      const auto calls = runnable_calls(state_, 100);
      ASSERT_FALSE(calls.empty()) << "seed " << seed << ": nothing to decide and nothing to do";
      const CallId call = calls[random() % calls.size()];
      if (call.kind == CallId::Kind::kMake) {
        CandidateMade made{.call = call};
        if (chance(85))
          made.answer->blob = "b" + std::to_string(random() % 6);
        else
          made.answer = std::unexpected(
              Error{chance(50) ? ErrorKind::kInvalid : ErrorKind::kUnavailable, "no"});
        take(made);
      } else {
        const bool whole = call.kind == CallId::Kind::kWhole;
        Judgement judgement;
        judgement.candidate = whole ? "whole"
                                    : state_.tracks[call.track]
                                          .laps.back()
                                          .candidates[static_cast<std::size_t>(call.n)]
                                          .blob;
        judgement.outcome = std::array{Outcome::kPass, Outcome::kFail, Outcome::kAbstain,
                                       Outcome::kError}[random() % 4];
        judgement.score = static_cast<double>(random() % 10) / 10;
        if (group && !whole)  // any mix: all units green in a candidate that fails, too
          for (const Unit& unit : state_.units)
            judgement.units.push_back({unit.key, chance(70) ? Outcome::kPass : Outcome::kFail});
        if (judgement.outcome == Outcome::kFail)
          judgement.critiques = {{"l" + std::to_string(random() % 3), "must", "c", "", ""}};
        VerdictGiven given{
            .call = call, .judge_name = recipe_.judges[call.judge].name, .judgement = judgement};
        if (chance(30)) given.node = "box";
        take(std::move(given));
      }
      if (HasFatalFailure()) return;
    }
    ASSERT_TRUE(state_.ended) << "seed " << seed;
    expect_honest(state_, seed);
    begin(static_cast<int>(state_.units.size()));
    const auto record = [](const Event& event) { return to_record({0, 0, std::nullopt, event}); };
    for (std::size_t i = 0; i < log.size(); ++i) {
      const auto expected = next_decision(state_);
      ASSERT_EQ(is_decision(log[i]), expected.has_value()) << "seed " << seed << " event " << i;
      if (expected) {
        ASSERT_EQ(record(*expected).body, record(log[i]).body);
      }
      add(log[i]);
    }
  }
}

TEST_F(StateTest, FeedbackIsBoundedAndAFreshStartSeesNoOldWork) {
  begin();
  decide();
  std::vector<std::string> faults;
  for (int i = 0; i < 40; ++i) faults.push_back("fault" + std::to_string(i));
  play("a", 0.2, faults);
  const Track& track = state_.tracks[0];
  const std::string repair = feedback_tail(track, track.laps.back(), "THE TEXT");
  EXPECT_THAT(repair, HasSubstr("THE TEXT"));
  EXPECT_THAT(repair, HasSubstr("wrong: fault3"));
  EXPECT_THAT(repair, HasSubstr("and 28 more"));
  LapState fresh = track.laps.back();
  fresh.move = Move::kResample;
  EXPECT_THAT(feedback_tail(track, fresh, "THE TEXT"), ::testing::Not(HasSubstr("THE TEXT")));
}

TEST_F(StateTest, AUnitThatNamesItsWorkerIsAskedOfThatOneAlone) {
  recipe_.make_options = {{"moves", moves({"sample", "sample"})}};
  begin(2);
  state_.units[1].data["worker"] = "large";
  EXPECT_EQ(ladder_of(state_, state_.tracks[0]).size(), 2);
  ASSERT_EQ(ladder_of(state_, state_.tracks[1]).size(), 1);
  decide();
  const auto lap =
      std::ranges::find_if(state_.tracks, [](const Track& t) { return t.laps.empty(); });
  EXPECT_EQ(lap, state_.tracks.end());
  // Nobody else is asked when it cannot be reached.
  made_error(ErrorKind::kUnavailable, 0, 1);
  EXPECT_EQ(decide(), "unit: rung unavailable");
  EXPECT_EQ(state_.tracks[1].laps.size(), 1);
  made_error(ErrorKind::kUnavailable, 0, 0);
  decide();
  EXPECT_EQ(state_.tracks[0].laps.size(), 2);
}

}  // namespace
}  // namespace lathe::loop
