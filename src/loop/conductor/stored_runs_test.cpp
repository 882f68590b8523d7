// Runs that lathe 0.1 left in its journal: they fold, every decision is taken again, and each came
// to what is known of it.
#include <gmock/gmock.h>

#include <testing/stored_journal.h>

#include "ground/base/version.h"
#include "loop/conductor/conductor.h"

namespace lathe::loop {
namespace {

std::vector<books::Record> stored_records(const std::string& name) {
  std::vector<books::Record> records;
  for (const std::string& line : stored_lines(name)) {
    const Json json = parse_json(line).value();
    records.push_back({json_int(json, "seq", -1), json_int(json, "t_ms", -1), std::nullopt,
                       json_string(json, "kind"), json_at(json, "body")});
  }
  return records;
}

std::vector<Entry> stored(const std::string& name) {
  return from_records(stored_records(name)).value();
}

struct Known {
  std::string name, state;
  std::size_t passed, gave_up;
};

class StoredRuns : public ::testing::TestWithParam<Known> {};

TEST_P(StoredRuns, ReplayAsTheyWere) {
  const std::vector<Entry> entries = stored(GetParam().name);
  const auto state = fold(entries);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(result_name(state->end_state), GetParam().state);
  EXPECT_EQ(state->end_said, state->end_state);
  const RunOutcome outcome = run_outcome(*state);
  EXPECT_EQ(outcome.passed, GetParam().passed);
  EXPECT_EQ(outcome.gave_up, GetParam().gave_up);
  const auto decisions = replay(entries);
  ASSERT_TRUE(decisions) << decisions.error().message;
  EXPECT_EQ(*decisions, std::ranges::count_if(
                            entries, [](const Entry& each) { return is_decision(each.event); }));
}

// A decision that was tampered with is found.
TEST_P(StoredRuns, ButNotOtherwise) {
  const std::vector<Entry> entries = stored(GetParam().name);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    std::vector<Entry> other = entries;
    if (auto* lap = std::get_if<LapOpened>(&other[i].event))
      lap->move = lap->move == Move::kAsk ? Move::kRepair : Move::kAsk;
    else if (auto* closed = std::get_if<LapClosed>(&other[i].event))
      closed->rank.score += 0.001;
    else if (auto* ended = std::get_if<TrackEnded>(&other[i].event))
      ended->rule = ended->rule == Rule::kLaps ? Rule::kNoGain : Rule::kLaps;
    else
      continue;
    EXPECT_FALSE(replay(other)) << "record " << i;
  }
}

// Whatever stands where a member was: it is refused, or the run goes its way without it.
TEST(AlteredRuns, AreReadOrRefused) {
  const std::vector<Json> values{
      nullptr, -1, 1 << 30, true, "x", Json::array({1}), Json{{"kind", "x"}}};
  int read = 0, refused = 0;
  for (const char* name : {"code", "not-judged-at-first"}) {
    const std::vector<books::Record> records = stored_records(name);
    for (std::size_t i = 0; i < records.size(); ++i)
      for (const auto& [key, was] : records[i].body.items())
        for (const Json& value : values) {
          std::vector<books::Record> altered = records;
          altered[i].body[key] = value;
          const auto entries = from_records(altered);
          ++(entries && fold(*entries) && replay(*entries) ? read : refused);
        }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, read / 4);
}

// A run of other arithmetic is not blamed for what that changes.
TEST(StoredRunsOfOtherNumerics, AreSaidToBe) {
  std::vector<Entry> entries = stored("code");
  for (Entry& entry : entries)
    if (auto* lap = std::get_if<LapOpened>(&entry.event)) lap->move = Move::kRepair;
  EXPECT_THAT(replay(entries).error().message, ::testing::Not(::testing::HasSubstr("numerics")));
  std::get<RunBegun>(entries.front().event).numerics = kNumerics + 1;
  EXPECT_THAT(replay(entries).error().message,
              ::testing::HasSubstr(fmt::format("made with numerics {}", kNumerics + 1)));
}

INSTANTIATE_TEST_SUITE_P(
    V01, StoredRuns,
    ::testing::Values(Known{"code", "passed", 2, 0}, Known{"text", "passed", 3, 0},
                      Known{"json", "passed", 4, 0}, Known{"voice", "passed", 2, 0},
                      Known{"pictures", "passed", 1, 0},
                      Known{"programs", "partial", 3, 2},  // a whole judge passes, another fails
                      Known{"baseline", "partial", 4, 1}, Known{"rejudged", "partial", 3, 2},
                      Known{"gave-up", "failed", 0, 2}, Known{"paused", "passed", 3, 0},
                      Known{"not-judged-at-first", "passed", 1, 0}),  // and resumed behind its end
    [](const auto& run) { return replace_all(run.param.name, "-", "_"); });

}  // namespace
}  // namespace lathe::loop
