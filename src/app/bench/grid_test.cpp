// Grids: rates, intervals and McNemar's test against values computed elsewhere, what is left out,
// and records that were tampered with.
#include "app/bench/grid.h"

#include <gmock/gmock.h>

#include "app/bench/record.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;

Cell cell(CellState state) {
  Cell made{.state = state};
  if (state == CellState::kPassed) made.marks["key"] = true;
  if (state == CellState::kFailed) made.marks["key"] = false;
  made.make_us = 500'000;
  return made;
}

// Two models, two prompts, two seeds. a passes three of four, b one of three and has no end of one.
Grid small_grid() {
  constexpr CellState kPass = CellState::kPassed, kFail = CellState::kFailed;
  Grid grid;
  grid.models = {{"a", "m", "script:a"}, {"b", "n", "http://x", "USD"}};
  grid.prompts = {{"p", "easy", "00"}, {"q", "hard", "11"}};
  grid.seeds = 2;
  for (const CellState state : {kPass, kPass, kPass, kFail,                             // p: a, b
                                kPass, kFail, CellState::kError, CellState::kMissing})  // q: a, b
    grid.cells.push_back(cell(state));
  grid.cells[6].why = "judge 'key': broke";
  grid.cells[2].nano = 1'500'000'000;
  grid.cells[3].nano = 500'000'000;
  return grid;
}

Json record_of(const Grid& grid) {
  return {{"schema", kBenchSchema},
          {"kind", kBenchKind},
          {"wall_us", 0},
          {"models", grid_models_json(grid)},
          {"grid", grid_json(grid)}};
}

// Goldens: python3, 2·Σ math.comb(n, k)/2**n with whole numbers.
TEST(McNemar, AgainstExactBinomials) {
  EXPECT_EQ(mcnemar_p(0, 0), 1);
  EXPECT_EQ(mcnemar_p(1, 0), 1);
  EXPECT_EQ(mcnemar_p(3, 3), 1);
  EXPECT_DOUBLE_EQ(mcnemar_p(0, 6), 0.03125);
  EXPECT_DOUBLE_EQ(mcnemar_p(2, 9), 0.0654296875);
  EXPECT_DOUBLE_EQ(mcnemar_p(9, 2), mcnemar_p(2, 9));
  EXPECT_NEAR(mcnemar_p(10, 25), 0.01667384780012071, 1e-15);
  // Beyond what a double holds: neither C(5000, 2450) nor 2⁻⁵⁰⁰⁰ fits one.
  EXPECT_NEAR(mcnemar_p(2450, 2550), 0.1614852223973769, 1e-12);
  EXPECT_EQ(mcnemar_p(0, 5000), 0) << "it is below the smallest number";
}

TEST(Grid, RowsCountWhatWasJudgedAndNameTheRest) {
  const Grid grid = small_grid();
  const GridRow a = grid_row(grid, 0, {}), b = grid_row(grid, 1, {});
  EXPECT_EQ((std::vector{a.passed, a.judged, a.errors, a.missing}),
            (std::vector<std::size_t>{3, 4, 0, 0}));
  EXPECT_EQ((std::vector{b.passed, b.judged, b.errors, b.missing}),
            (std::vector<std::size_t>{1, 2, 1, 1}));
  EXPECT_NEAR(a.interval().low, 0.300642, 1e-6);
  EXPECT_NEAR(a.interval().high, 0.954413, 1e-6);
  const GridRow hard = grid_row(grid, 1, {Slice::Kind::kGroup, "hard"});
  EXPECT_EQ(hard.judged, 0);
  EXPECT_EQ(hard.interval().low, 0);
  EXPECT_EQ(hard.interval().high, 1);
  const GridPair pair = grid_pair(grid, 0, 1, {});
  EXPECT_EQ((std::vector{pair.both, pair.only_a, pair.only_b, pair.neither, pair.left_out}),
            (std::vector<std::size_t>{1, 1, 0, 0, 2}));
  EXPECT_EQ(slices_of(grid).size(), 3) << "all and two groups; one mark is no slice";
}

TEST(Grid, MoneyIsNeverMadeUp) {
  Grid grid = small_grid();
  const auto money = [&](std::size_t row) {
    return json_at(grid_json(grid)["rows"][row], "money_a_pass");
  };
  EXPECT_EQ(money(0), Json()) << "a machine of one's own asks for none";
  EXPECT_EQ(money(1), Json("2"));
  grid.cells[7].unpriced = 1;
  EXPECT_EQ(money(1), Json()) << "what is not known is not 0";
  EXPECT_EQ(grid_json(grid)["rows"][0]["seconds_a_pass"], Json("0.666667"));
}

TEST(Grid, OneModelAndOneCell) {
  Grid grid;
  grid.models = {{"a", "m", "w"}};
  grid.prompts = {{"p"}};
  grid.cells = {cell(CellState::kPassed)};
  EXPECT_TRUE(grid_pairs(grid).empty());
  ASSERT_EQ(grid_rows(grid).size(), 1);
  EXPECT_NEAR(grid_rows(grid)[0].interval().low, 0.206549, 1e-6);
  EXPECT_TRUE(check_record(record_of(grid)));
}

TEST(Grid, MarksAreSlicesOfTheirOwn) {
  Grid grid = small_grid();
  for (Cell& each : grid.cells)
    if (!each.marks.empty()) each.marks = {{"acc", each.marks["key"]}, {"acc_norm", true}};
  const GridRow norm = grid_row(grid, 0, {Slice::Kind::kMark, "acc_norm"});
  EXPECT_EQ(norm.passed, 4);
  EXPECT_EQ(grid_row(grid, 0, {Slice::Kind::kMark, "acc"}).passed, 3);
}

TEST(Grid, ARecordAddsUpAgainAndATamperedOneDoesNot) {
  const Json record = record_of(small_grid());
  const auto error = [](const Json& changed) {
    const Status fine = check_record(changed);
    return fine ? std::string("no error") : fine.error().message;
  };
  EXPECT_EQ(error(record), "no error");
  Json changed = record;
  changed["grid"]["cells"][3]["state"] = "passed";
  EXPECT_THAT(error(changed), HasSubstr("grid.rows[1]"));
  changed = record;
  changed["grid"]["rows"][0]["low"] = "0.9";
  EXPECT_THAT(error(changed), HasSubstr("its samples come to"));
  changed = record;
  changed["grid"]["pairs"][0]["p"] = "0.01";
  EXPECT_THAT(error(changed), HasSubstr("grid.pairs[0].p"));
  changed = record;
  changed["grid"]["cells"].erase(7);
  EXPECT_THAT(error(changed), HasSubstr("there are 7"));
  changed = record;
  changed["grid"]["cells"][7] = changed["grid"]["cells"][6];
  EXPECT_THAT(error(changed), HasSubstr("stands twice"));
  changed = record;
  changed["models"][1]["model"] = "a";
  EXPECT_THAT(error(changed), HasSubstr("'a' stands twice"));
  changed = record;
  changed["grid"]["cells"][0]["make_us"] = -1;
  EXPECT_THAT(error(changed), HasSubstr("cells[0].make_us"));
  changed = record;
  changed["grid"]["seeds"] = std::int64_t{1} << 62;
  EXPECT_THAT(error(changed), HasSubstr("cells: there are 8"));
}

}  // namespace
}  // namespace lathe::app
