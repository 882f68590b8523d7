// A run as JSON, for programs and pages.
#pragma once

#include "show/run/run_view.h"

namespace lathe::show {

// Its outcome, totals and table.
Json to_json(const RunSummary& run);
// The same, with laps, candidates (their bytes by hash), verdicts and exhibits.
Json to_json(const RunView& run);

}  // namespace lathe::show
