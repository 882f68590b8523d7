// A run of a grid from the command line, and its cells: what its state and its ledger say of each.
#pragma once

#include <span>

#include "app/bench/grid.h"
#include "app/cli/drive.h"
#include "books/ledger/row.h"
#include "loop/conductor/state.h"

namespace lathe::app {

// `rows`: of the run's calls. Pure. Errors: a run whose units are no cells.
Result<Grid> grid_of(const loop::RunState& state, std::span<const books::LedgerRow> rows);

// The table for a terminal: a line a row, a line a pair.
std::string grid_lines(const Grid& grid);

struct GridFlags {
  std::string recipe, input;
  std::string run;  // one that is gone on with, instead
  std::string out, html, sign;
  bool force = false;
  std::vector<std::string> set;
  DriveFlags drive;
};
void add_grid_flags(CLI::App& command, GridFlags& flags);
// Begins a run, or goes on with one, to its end or to a stop, and shows what it came to. The exit
// code: kExitNotJudged where a cell has no verdict or no end.
Result<int> run_grid(const App& app, GridFlags flags);

}  // namespace lathe::app
