// A run folded from records that a test makes up.
#pragma once

#include <gmock/gmock.h>

#include "loop/conductor/conductor.h"
#include "loop/conductor/state.h"

namespace lathe::loop {

class StateTest : public ::testing::Test {
 protected:
  // A maker whose proposals are the recipe's option "moves", one after the other.
  static std::optional<Proposal> propose_listed(const ProposeTask& task) {
    const Json& moves = json_at(task.options, "moves");
    if (task.attempts.size() >= moves.size()) return std::nullopt;
    const Json& move = moves[task.attempts.size()];
    return Proposal{*parse_move(json_string(move, "move", "sample")),
                    static_cast<int>(json_int(move, "rung", 0)),
                    static_cast<int>(json_int(move, "n", task.best_of)), Json::object(), "listed"};
  }
  static inline const MakerKind kListed{.name = "listed", .propose = propose_listed};
  static inline const MakerKind kListedGroup{
      .name = "listed-group", .whole_group = true, .propose = propose_listed};
  static inline const JudgeKind kGate{.name = "gate", .stage = Stage::kGate};
  static inline const JudgeKind kModel{
      .name = "model", .needs_worker = true, .stage = Stage::kRubric};

  static Json moves(std::initializer_list<const char*> names) {
    Json list = Json::array();
    for (const char* name : names) list.push_back({{"move", name}});
    return list;
  }

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

}  // namespace lathe::loop
