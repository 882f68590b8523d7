// A run as lines: the table of its units and laps, what an entry says, what a call does. Pure.
#pragma once

#include <map>

#include "show/run/run_view.h"

namespace lathe::show {

struct TableStyle {
  int width = 100;  // columns; no row is longer, from 66 on
  bool color = false;
  bool unit_lines = true;  // the units of a group, one by one, also while the run goes on
};

// How many rows a terminal of this height has room for, beside `running` calls.
std::size_t rows_for(int height, std::size_t running);

// The table of units × laps. `running`: what is going on, by call.
std::vector<std::string> table_lines(const RunSummary& run, const TableStyle& style,
                                     const std::map<std::string, std::string>& running = {});
// "12 of 20 units passed · 31 laps · 1234 tokens in (400 cached), 99 out · 12.3 s · energy …"
std::string totals_line(const RunSummary& run);
// "run ID: passed, all 2 units passed", and its caveats.
std::string heading_line(const std::string& id, const RunSummary& run, std::string_view caveats);

// One line about an entry that the state has taken already; "": it says nothing new to a person.
std::string entry_line(const loop::RunState& state, const loop::Entry& entry);

}  // namespace lathe::show
