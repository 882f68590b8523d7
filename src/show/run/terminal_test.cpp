// A run as lines.
#include "show/run/terminal.h"

#include <gmock/gmock.h>

#include "show/run/test_run.h"

namespace lathe::show {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// Columns: code points.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

TEST(TerminalTest, ATableHasALineForEachTrackAndTheTotals) {
  const auto lines = table_lines(summary_of(finished_run()), {.width = 100});
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0], HasSubstr("  A               4.0 → 10.0                passed     "));
  EXPECT_THAT(lines[0], HasSubstr("· one word is not verified · the first unit"));
  EXPECT_THAT(lines[1], HasSubstr("  B               –                         gave up    "));
  EXPECT_THAT(lines[1], HasSubstr("the answer could not be used"));
  EXPECT_EQ(lines[2],
            "  1 of 2 units passed · 3 laps · 20 tokens in (5 cached), 10 out · 5.0 s · energy not "
            "readable here");
}

TEST(TerminalTest, NoRowIsWiderThanTheTerminal) {
  loop::RunState state = finished_run();
  state.units[0].text = std::string(300, 'x') + "\x1b[31mred";
  state.units[1].key = std::string(100, 'k');
  for (const int width : {66, 80, 140}) {
    const auto lines = table_lines(summary_of(state), {.width = width});
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_LE(columns(lines[i]), static_cast<std::size_t>(width)) << lines[i];
      EXPECT_EQ(lines[i].find('\x1b'),
                std::string::npos);  // an artifact's own codes are not obeyed
    }
  }
}

TEST(TerminalTest, WhatGoesOnStandsBelowWithTheTimeLeft) {
  const RunSummary run = summary_of(begun_run());
  const auto lines =
      table_lines(run, {.width = 100, .unit_lines = false}, {{"make:0:1:0:0:0", "making A"}});
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[0], HasSubstr("waiting"));
  EXPECT_THAT(lines[2], HasSubstr("  making A"));
  EXPECT_THAT(lines[3], EndsWith("energy not readable here · at most 1m 00s left"));
}

TEST(TerminalTest, WhatAPersonIsAskedForIsSaid) {
  loop::RunState state = begun_run();
  const loop::CallId call = loop::CallId::make(0, 1, 0);
  const loop::Entry asked{2, 0, std::nullopt, loop::ConsentAsked{call, "ab12", "10 bytes to x"}};
  ASSERT_TRUE(apply(state, asked));
  EXPECT_THAT(entry_line(state, asked), EndsWith("making A waits for consent ab12"));
  EXPECT_THAT(table_lines(summary_of(state), {.width = 100})[2],
              HasSubstr("making A waits for consent ab12 (10 bytes to x)"));
  const loop::Entry answered{3, 0, std::nullopt,
                             loop::ConsentAnswered{call, "ab12", true, "consent ab12"}};
  ASSERT_TRUE(apply(state, answered));
  EXPECT_THAT(entry_line(state, answered), EndsWith("consent ab12 was given: consent ab12"));
  EXPECT_THAT(summary_of(state).waits, ElementsAre());
}

TEST(TerminalTest, WhatCameTooLateIsSaid) {
  loop::RunState state = begun_run();
  const loop::Entry late{2, 0, std::nullopt, loop::CameTooLate{loop::CallId::make(0, 1, 0), "box"}};
  ASSERT_TRUE(apply(state, late));
  EXPECT_THAT(entry_line(state, late), HasSubstr("node box came too late with making A"));
  EXPECT_THAT(table_lines(summary_of(state), {.width = 100})[2],
              HasSubstr("node box came too late with making A"));
}

TEST(TerminalTest, AGroupsUnitsStandBelowIt) {
  RunSummary run;
  run.ended = true;
  TrackRow row;
  for (int i = 0; i < 23; ++i) row.units.push_back({fmt::format("test_{}", i), i == 0});
  row.state = loop::TrackState::kGaveUp;
  run.rows = {row};
  run.hidden = 2;
  const auto lines = table_lines(run, {.width = 100, .color = true});
  EXPECT_THAT(lines[0], HasSubstr("23 units"));
  EXPECT_EQ(lines[1], "    \033[32mpassed\033[0m  test_0");
  EXPECT_EQ(lines[2], "    \033[31mfails \033[0m  test_1");
  EXPECT_EQ(lines[21], "    … 3 more");
  EXPECT_EQ(lines[22], "  … 2 more not shown");
}

TEST(TerminalTest, ThereIsAlwaysRoomForSomeRows) {
  EXPECT_EQ(rows_for(24, 0), 20U);
  EXPECT_EQ(rows_for(24, 8), 12U);
  EXPECT_EQ(rows_for(5, 8), 3U);
}

TEST(TerminalTest, EntriesSayWhatIsNew) {
  loop::RunState state = begun_run();
  std::vector<std::string> lines;
  for (const loop::Entry& entry : finished_entries()) {
    ASSERT_TRUE(loop::apply(state, entry));
    if (const std::string line = entry_line(state, entry); !line.empty())
      lines.push_back(line.substr(line.find(']') + 2));
  }
  EXPECT_THAT(lines, ElementsAre("A lap 1: sample (first sample)",
                                 "A lap 1: score 4.0; line 1: it is too long", "B lap 1: sample",
                                 "B lap 1: ", "B gave up: every move was tried",
                                 "A lap 2: repair (it is too long)",
                                 "A lap 2: score 10.0, passed · one word is not verified",
                                 "partial: 1 of 2 units passed"));
}

TEST(TerminalTest, CallsInWords) {
  const loop::RunState state = begun_run();
  EXPECT_EQ(call_words(state, loop::CallId::make(1, 1, 0)), "making B");
  EXPECT_EQ(call_words(state, loop::CallId::judging(0, 1, 0, 0, 0)), "judging A: judge");
  EXPECT_EQ(call_words(state, loop::CallId::whole(0, 0)), "judging the whole: judge");
}

TEST(TerminalTest, TheHeadingSaysWhatCameOfIt) {
  EXPECT_EQ(heading_line("r1", summary_of(finished_run()), " · one word"),
            "run r1: partial, 1 of 2 units passed · one word");
  EXPECT_EQ(heading_line("r2", summary_of(begun_run()), ""), "run r2: not ended");
}

}  // namespace
}  // namespace lathe::show
