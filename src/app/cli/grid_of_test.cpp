// A run of a grid to its cells: what it cost, where that is known, and units that are no cells.
#include <gmock/gmock.h>

#include "app/cli/grid.h"
#include "loop/conductor/units.h"

namespace lathe::app {
namespace {

using ::testing::HasSubstr;

// One prompt for a model of this machine and for one that is paid for.
loop::RunState grid_run() {
  loop::RunState state;
  state.recipe.ladder = {"own", "paid"};
  state.recipe.seeds = 1;
  static const loop::MakerKind kMaker{.name = "listed"};
  state.recipe.maker = &kMaker;
  state.header.workers = {{"own", "a.gguf", "local:a", "local"},
                          {"paid", "big", "https://x", "any"}};
  const std::vector<loop::Unit> units{{"p", "Prompt?", {{"group", "easy"}}}};
  state.units = loop::grid_cells(units, state.recipe.ladder, 1, "p.jsonl").value();
  loop::begin_tracks(state);
  return state;
}

books::LedgerRow call(const std::string& name) {
  books::LedgerRow row;
  row.call = name;
  row.wall_us = 40;
  return row;
}

TEST(GridOf, CellsHaveWhatTheirCallsTook) {
  books::LedgerRow priced = call("make:1:1:0:0:0");
  priced.cash = {.nano = 700, .currency = "USD", .source = std::string(books::kComputed)};
  const std::vector<books::LedgerRow> rows{call("make:0:1:0:0:0"), priced, priced,
                                           call("judge:1:1:0:0:0"), call("make:99:1:0:0:0")};
  const auto grid = grid_of(grid_run(), rows);
  ASSERT_TRUE(grid) << grid.error().message;
  EXPECT_EQ(grid->cells[0].make_us, 40);
  EXPECT_FALSE(grid->cells[0].nano);
  EXPECT_EQ(grid->cells[1].make_us, 80) << "both tries, and not its judge's";
  EXPECT_EQ(grid->cells[1].nano, 1400);
  EXPECT_EQ(grid->models[0].currency, "");
  EXPECT_EQ(grid->models[1].currency, "USD");
  EXPECT_EQ(grid->prompts[0].group, "easy");
  EXPECT_EQ(grid->cells[0].state, CellState::kMissing);
}

TEST(GridOf, WhatIsNotPricedIsCounted) {
  books::LedgerRow unpriced = call("make:1:1:0:0:0");
  unpriced.cash.source = books::kUnpriced;
  books::LedgerRow lost = call("make:1:1:0:0:0");
  lost.finish = books::kLost;
  books::LedgerRow lost_here = call("make:0:1:0:0:0");
  lost_here.finish = books::kLost;
  const auto grid = grid_of(grid_run(), std::vector{unpriced, lost, lost_here});
  ASSERT_TRUE(grid) << grid.error().message;
  EXPECT_EQ(grid->cells[1].unpriced, 2) << "what a lost call cost is not known either";
  EXPECT_EQ(grid->cells[0].unpriced, 0);
  EXPECT_THAT(grid_lines(*grid), HasSubstr("unpriced"));
}

TEST(GridOf, AnotherRunIsNone) {
  loop::RunState state = grid_run();
  state.recipe.seeds = 0;
  EXPECT_THAT(grid_of(state, {}).error().message, HasSubstr("is no grid"));
  state = grid_run();
  std::swap(state.units[0], state.units[1]);
  EXPECT_THAT(grid_of(state, {}).error().message, HasSubstr("where the cell 'p own 1' comes"));
}

}  // namespace
}  // namespace lathe::app
