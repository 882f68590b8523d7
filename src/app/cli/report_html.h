// One self-contained HTML file about a run: it opens anywhere, loads nothing and runs no script.
#pragma once

#include "books/journal/journal.h"
#include "loop/conductor/state.h"

namespace lathe::app {

// Stands near the beginning of every report.
inline constexpr std::string_view kReportMark = "<meta name=generator content=lathe-report>";

// `baseline`: the run that was given the same budget for one lap of independent samples, or null.
Result<std::string> report_html(const books::Journal& journal, const std::string& id,
                                const loop::RunState& state, std::span<const loop::Entry> entries,
                                const loop::RunState* baseline);

// How the loop did, from the journal alone: share of units passed after each lap.
std::vector<double> pass_curve(const loop::RunState& state);

}  // namespace lathe::app
