// Runs folded from records: passes, the ratchet, judges that fail, and every stop with its
// reason.
#include "loop/conductor/state.h"

#include <gmock/gmock.h>

#include <random>

#include "loop/conductor/conductor.h"
#include "loop/conductor/feedback.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

// A maker whose proposals are the recipe's option "moves", one after the other.
std::optional<Proposal> propose_listed(const ProposeTask& task) {
  const Json& moves = json_at(task.options, "moves");
  if (task.attempts.size() >= moves.size()) return std::nullopt;
  const Json& move = moves[task.attempts.size()];
  return Proposal{*parse_move(json_string(move, "move", "sample")),
                  static_cast<int>(json_int(move, "rung", 0)),
                  static_cast<int>(json_int(move, "n", task.best_of)), Json::object(), "listed"};
}
const MakerKind kListed{.name = "listed", .propose = propose_listed};
const MakerKind kListedGroup{
    .name = "listed-group", .whole_group = true, .propose = propose_listed};
const JudgeKind kGate{.name = "gate", .stage = Stage::kGate};
const JudgeKind kModel{.name = "model", .needs_worker = true, .stage = Stage::kRubric};

Json moves(std::initializer_list<const char*> names) {
  Json list = Json::array();
  for (const char* name : names) list.push_back({{"move", name}});
  return list;
}

class StateTest : public ::testing::Test {
 protected:
  StateTest() {
    recipe_.maker = &kListed;
    recipe_.make_options = {
        {"moves", moves({"sample", "repair", "repair", "resample", "repair", "repair"})}};
    recipe_.ladder = {"small", "large"};
    recipe_.stop = {
        .laps = 6, .no_gain = 2, .call_ms = 1000, .budgets = {{"time", 60'000}, {"tokens", 1000}}};
    recipe_.judges = {{.name = "g", .kind = &kGate, .stage = Stage::kGate}};
  }

  void begin(int units = 1) {
    state_ = RunState();
    state_.recipe = recipe_;
    for (int i = 0; i < units; ++i)
      state_.units.push_back({"U" + std::to_string(i), "text", Json::object()});
    state_.next_seq = 2;
    begin_tracks(state_);
  }

  void add(Event event, std::int64_t t_ms = 0) {
    const Status fine = apply(state_, {state_.next_seq, t_ms, std::nullopt, std::move(event)});
    ASSERT_TRUE(fine) << fine.error().message;
  }
  // A decision in two words, as "unit: no gain".
  static std::string words(const Event& event) {
    const Json body = to_record({0, 0, std::nullopt, event}).body;
    return fmt::format("{}: {}", kind_of(event),
                       json_string(body, "rule", json_string(body, "state")));
  }
  // Takes the decisions that are due; the last one's words.
  std::string decide() {
    std::string last = "none";
    while (auto next = next_decision(state_)) {
      last = words(*next);
      add(*next);
      if (HasFatalFailure()) break;
    }
    return last;
  }
  std::vector<std::string> runnable() {
    std::vector<std::string> ids;
    for (const CallId& call : runnable_calls(state_, 100)) ids.push_back(call.text());
    return ids;
  }
  void made(std::string blob, int n = 0, std::size_t track = 0) {
    add(CandidateMade{.call = CallId::make(track, lap(track), n),
                      .answer = Artifact{std::move(blob), 1, "text/plain", "txt", {}}});
  }
  void made_error(ErrorKind kind, int n = 0, std::size_t track = 0) {
    add(CandidateMade{.call = CallId::make(track, lap(track), n),
                      .answer = std::unexpected(Error{kind, "it broke"})});
  }
  void verdict(Outcome outcome, double score, std::vector<std::string> faults = {}, int n = 0,
               std::size_t judge = 0, int attempt = 0, std::size_t track = 0,
               std::vector<UnitOutcome> units = {}, std::optional<std::string> node = {},
               std::int64_t t_ms = 0) {
    Judgement judgement;
    judgement.candidate =
        state_.tracks[track].laps.back().candidates[static_cast<std::size_t>(n)].blob;
    judgement.outcome = outcome;
    judgement.score = score;
    judgement.units = std::move(units);
    for (const std::string& fault : faults)
      judgement.critiques.push_back({fault, "must", "wrong: " + fault, "", ""});
    add(VerdictGiven{.call = CallId::judging(track, lap(track), n, judge, attempt),
                     .judge_name = recipe_.judges[judge].name,
                     .judgement = judgement,
                     .node = std::move(node)},
        t_ms);
  }
  int lap(std::size_t track) const { return static_cast<int>(state_.tracks[track].laps.size()); }
  // One whole lap: made, judged, decided.
  std::string play(std::string blob, double score, std::vector<std::string> faults,
                   Outcome outcome = Outcome::kFail) {
    made(std::move(blob));
    verdict(outcome, score, std::move(faults));
    return decide();
  }

  Recipe recipe_;
  RunState state_;
};

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
