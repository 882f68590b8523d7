// For the tests of this room: a small run, begun, and as it ended.
#pragma once

#include "show/run/run_view.h"

namespace lathe::show {

inline std::vector<loop::Exhibit> shown_by_test_judge(Json& evidence) {
  if (!evidence.contains("picture")) return {};
  loop::PictureExhibit picture{.title = "seen", .base64 = json_string(evidence, "picture")};
  picture.width = 100;
  picture.height = 50;
  picture.boxes = {{10, 20, 30, 5}, {}, {1, 2, 3, 4}};
  evidence.erase("picture");
  return {picture};
}

inline const loop::MakerKind kTestMaker{.name = "maker", .needs_worker = true};
inline const loop::JudgeKind kTestJudge{.name = "judge", .exhibits = shown_by_test_judge};

// Two units, A and B, nothing done.
inline loop::RunState begun_run() {
  loop::RunState state;
  state.recipe.name = "rewrite & more";
  state.recipe.maker = &kTestMaker;
  state.recipe.ladder = {"small"};
  state.recipe.judges = {{.name = "judge", .kind = &kTestJudge}};
  state.recipe.stop.budgets = {{"time", 60'000}, {"tokens", 1000}};
  state.recipe.canonical = {{"recipe", "rewrite & more"}};
  state.header.title = "notice.md";
  state.header.build = "lathe test";
  state.units = {{"A", "the first\nunit", {}}, {"B", "the <second>", {}}};
  state.next_seq = 2;
  loop::begin_tracks(state);
  return state;
}

// What one lap of A comes to: made, judged, closed.
inline void add_lap(int lap, const loop::Judgement& judgement, std::vector<loop::Event>& events) {
  const bool passed = judgement.outcome == loop::Outcome::kPass;
  events.push_back(loop::LapOpened{.track = 0,
                                   .lap = lap,
                                   .move = lap == 1 ? loop::Move::kSample : loop::Move::kRepair,
                                   .rule = lap == 1 ? loop::Rule::kFirstLap : loop::Rule::kNextMove,
                                   .reason = lap == 1 ? "first sample" : "it is too long"});
  loop::CandidateMade made{.call = loop::CallId::make(0, lap, 0), .ms = 100};
  made.usage.prompt_tokens = 10;
  made.usage.cached_tokens = lap == 1 ? 0 : 5;
  made.usage.completion_tokens = 5;
  made.usage.calls = 1;
  made.usage.counted = true;
  made.answer = loop::Artifact{judgement.candidate, 3, "text/plain", "txt", {{"voice", "x"}}};
  events.push_back(made);
  events.push_back(loop::VerdictGiven{.call = loop::CallId::judging(0, lap, 0, 0, 0),
                                      .judge_name = "judge",
                                      .ms = 35,
                                      .judgement = judgement});
  events.push_back(loop::LapClosed{.track = 0,
                                   .lap = lap,
                                   .best = 0,
                                   .rank = {.passed = passed, .score = judgement.score},
                                   .gained = true,
                                   .rule = loop::Rule::kRatchet,
                                   .reason = passed ? "score 10.0, passed" : "score 4.0"});
}

// A passes in its second lap; what was made of B cannot be used. The artifacts' hashes are given.
inline std::vector<loop::Entry> finished_entries(const std::string& first = "a1",
                                                 const std::string& second = "a2") {
  std::vector<loop::Event> events;
  loop::Judgement judgement;
  judgement.candidate = first;
  judgement.outcome = loop::Outcome::kFail;
  judgement.score = 0.4;
  judgement.evidence = {{"picture", "cGlj"}, {"words", 3}};
  judgement.critiques = {{"line 1", "must", "it is too long", "41 <words>", ""}};
  add_lap(1, judgement, events);
  events.push_back(loop::LapOpened{.track = 1, .lap = 1, .rule = loop::Rule::kFirstLap});
  events.push_back(
      loop::CandidateMade{.call = loop::CallId::make(1, 1, 0),
                          .ms = 100,
                          .answer = std::unexpected(Error{ErrorKind::kInvalid, "no text in it"})});
  events.push_back(loop::LapClosed{.track = 1, .lap = 1, .rule = loop::Rule::kRatchet});
  events.push_back(loop::TrackEnded{
      .track = 1, .rule = loop::Rule::kNoFurtherMove, .reason = "every move was tried"});
  judgement = {};
  judgement.candidate = second;
  judgement.outcome = loop::Outcome::kPass;
  judgement.score = 1;
  judgement.evidence = {{"caveat", "one word is not verified"}};
  add_lap(2, judgement, events);
  events.push_back(loop::TrackEnded{
      .track = 0, .passed = true, .rule = loop::Rule::kPassed, .reason = "in lap 2"});
  events.push_back(loop::RunEnded{loop::RunResult::kPartial, "1 of 2 units passed", 1, 1});

  std::vector<loop::Entry> entries;
  for (loop::Event& event : events) {
    const std::int64_t seq = 2 + std::ssize(entries);
    entries.push_back(
        {seq, std::min<std::int64_t>(5000, 500 * seq), std::nullopt, std::move(event)});
  }
  return entries;
}

inline loop::RunState finished_run(const std::vector<loop::Entry>& entries = finished_entries()) {
  loop::RunState state = begun_run();
  for (const loop::Entry& entry : entries)
    if (!loop::apply(state, entry)) return {};
  return state;
}

}  // namespace lathe::show
