// What a view says of a run, counted by hand.
#include "show/run/run_view.h"

#include <gmock/gmock.h>
#include <testing/stored_journal.h>

#include "show/run/json.h"
#include "show/run/terminal.h"
#include "show/run/test_run.h"

namespace lathe::show {
namespace {

using ::testing::ElementsAre;

Result<loop::Entry> entry_from(const Json& json) {
  return loop::from_record({json_int(json, "seq", -1), json_int(json, "t_ms", -1), std::nullopt,
                            json_string(json, "kind"), json_at(json, "body")});
}

TEST(RunViewTest, TheSummaryCountsUnitsLapsAndWhatWasUsed) {
  const RunSummary run = summary_of(finished_run());
  EXPECT_EQ(run.outcome, "partial");
  EXPECT_EQ(run.units, 2U);
  EXPECT_EQ(run.units_passed, 1U);
  EXPECT_EQ(run.laps, 3U);
  EXPECT_EQ(run.hidden, 0U);
  ASSERT_EQ(run.rows.size(), 2U);
  EXPECT_TRUE(run.rows[0].passed());
  EXPECT_EQ(run.rows[0].caveats, "one word is not verified");
  ASSERT_EQ(run.rows[0].laps.size(), 2U);
  EXPECT_EQ(run.rows[0].laps[0].score, 4.0);
  EXPECT_EQ(run.rows[0].laps[1].score, 10.0);
  EXPECT_EQ(run.rows[1].laps[0].score, std::nullopt);  // nothing could be used
  EXPECT_EQ(run.rows[1].fault, "the answer could not be used: no text in it");
  std::vector<std::string> names;
  for (const SpentRow& row : run.spent) names.push_back(row.name);
  EXPECT_THAT(names, ElementsAre("time", "tokens", "energy", "money"));
  EXPECT_EQ(run.spent[0].spent, 5000);
  EXPECT_EQ(run.spent[0].limit, 60'000);
  EXPECT_EQ(run.spent[1].spent, 30);
  EXPECT_EQ(run.spent[1].brief, "20 tokens in (5 cached), 10 out");
  EXPECT_EQ(run.spent[2].spent, std::nullopt);
  EXPECT_EQ(run.spent[2].limit, std::nullopt);
}

TEST(RunViewTest, WhereThereAreTooManyRowsThePassedOnesGoFirst) {
  const loop::RunState state = finished_run();
  const RunSummary one = summary_of(state, 1);
  ASSERT_EQ(one.rows.size(), 1U);
  EXPECT_EQ(one.rows[0].units[0].key, "B");
  EXPECT_EQ(one.hidden, 1U);
  EXPECT_EQ(one.units_passed, 1U);  // it counts all the same
}

TEST(RunViewTest, TheTimeLeftIsTheBudgetUntilSomethingIsDone) {
  loop::RunState state = begun_run();
  state.t_ms = 10'000;
  RunSummary run = summary_of(state);
  EXPECT_FALSE(run.left_is_estimate);
  EXPECT_EQ(run.left_ms, 50'000);
  state.open_tracks = 1;  // one of two is done: the other takes as long
  run = summary_of(state);
  EXPECT_TRUE(run.left_is_estimate);
  EXPECT_EQ(run.left_ms, 10'000);
  state.t_ms = 59'000;
  EXPECT_EQ(summary_of(state).left_ms, 1'000);
}

TEST(RunViewTest, TheLoopIsJudgedByItsCalls) {
  const auto entries = finished_entries();
  const LoopYield yield = view_of(finished_run(), entries).yield;
  EXPECT_EQ(yield.made, 3);
  EXPECT_EQ(yield.usable, 2);
  EXPECT_EQ(yield.make_ms, 300);
  EXPECT_EQ(yield.judge_ms, 70);
  EXPECT_EQ(yield.candidates, 3U);
  EXPECT_EQ(yield.one_shot, 0U);
  EXPECT_THAT(yield.curve, ElementsAre(0.0, 0.0, 0.5));
  ASSERT_EQ(yield.moves.size(), 2U);
  EXPECT_EQ(yield.moves[0].move, "repair · small");
  EXPECT_EQ(yield.moves[0].passed, 1);
  EXPECT_EQ(yield.moves[1].move, "sample · small");
  EXPECT_EQ(yield.moves[1].laps, 2);
  EXPECT_EQ(yield.moves[1].gained, 1);
}

TEST(RunViewTest, AnotherVerdictOnTheSameBytesIsAFlip) {
  loop::RunState state = finished_run();
  loop::LapState& lap = state.tracks[0].laps[1];
  lap.candidates[0].blob = state.tracks[0].laps[0].candidates[0].blob;
  const LoopYield yield = view_of(state, {}).yield;
  EXPECT_EQ(yield.judged_again, 1);
  EXPECT_EQ(yield.flipped, 1);
}

TEST(RunViewTest, AUnitOfAGroupMayPassBeforeItsGroup) {
  loop::RunState state = begun_run();
  state.tracks.clear();
  loop::Track group;
  group.units = {0, 1};
  for (int lap = 1; lap <= 2; ++lap) {
    loop::LapState state_of_lap{.number = lap, .closed = true, .best = 0, .gained = true};
    loop::CandidateState candidate;
    candidate.made = true;
    loop::Judgement judgement;
    judgement.outcome = lap == 2 ? loop::Outcome::kPass : loop::Outcome::kFail;
    judgement.units = {{"A", loop::Outcome::kPass}, {"B", judgement.outcome}};
    candidate.verdicts = {{"judge", 0, 0, judgement}};
    state_of_lap.candidates = {candidate};
    state_of_lap.rank.passed = lap == 2;
    group.laps.push_back(state_of_lap);
  }
  group.best_lap = 1;
  state.tracks = {group};
  EXPECT_THAT(view_of(state, {}).yield.curve, ElementsAre(0.0, 0.5, 1.0));
}

TEST(RunViewTest, EvidenceIsShownByTheJudgeThatKnowsIt) {
  const RunView run = view_of(finished_run(), {});
  const VerdictView& verdict = run.tracks[0].laps[0].candidates[0].verdicts[0];
  ASSERT_EQ(verdict.exhibits.size(), 1U);
  EXPECT_EQ(std::get<loop::PictureExhibit>(verdict.exhibits[0]).title, "seen");
  EXPECT_FALSE(verdict.evidence.contains("picture"));  // it is shown, not read
  EXPECT_EQ(verdict.evidence["words"], 3);
}

TEST(RunViewTest, ArtifactsAreTakenByTheirType) {
  EXPECT_EQ(artifact_kind("image/svg+xml"), ArtifactKind::kDrawing);
  EXPECT_EQ(artifact_kind("image/png"), ArtifactKind::kPicture);
  EXPECT_EQ(artifact_kind("audio/wav"), ArtifactKind::kSound);
  EXPECT_EQ(artifact_kind("application/json"), ArtifactKind::kText);
  EXPECT_EQ(artifact_kind(loop::kChangesMediaType), ArtifactKind::kChanges);
  EXPECT_EQ(artifact_kind("application/octet-stream"), ArtifactKind::kOther);
}

// A journal says what it likes: what can be folded can be looked at.
TEST(RunViewTest, WhateverStandsInAJournalCanBeShown) {
  const std::vector<Json> values{nullptr, -1, 1 << 30, "x", Json::array({1}), Json{{"kind", "x"}}};
  const std::vector<std::string> lines = stored_lines("pictures");
  std::vector<loop::Entry> entries;
  std::vector<Json> bodies;
  for (const std::string& line : lines) {
    bodies.push_back(parse_json(line).value());
    entries.push_back(entry_from(bodies.back()).value());
  }
  int shown = 0;
  for (std::size_t i = 0; i < bodies.size(); ++i)
    for (const auto& [key, was] : bodies[i]["body"].items())
      for (const Json& value : values) {
        Json altered = bodies[i];
        altered["body"][key] = value;
        auto entry = entry_from(altered);
        if (!entry) continue;
        std::swap(entries[i], *entry);
        if (const auto state = loop::fold(entries)) {
          const RunView view = view_of(*state, entries);
          EXPECT_FALSE(table_lines(view.summary, {}).empty());
          EXPECT_FALSE(dump_json(to_json(view)).empty());
          for (const loop::Entry& each : entries) entry_line(*state, each);
          ++shown;
        }
        std::swap(entries[i], *entry);
      }
  EXPECT_GT(shown, 100);
}

}  // namespace
}  // namespace lathe::show
