// What there is to say of a run's units, one at a time, as JSON: what show/run prints, and what
// else the records have of it.
#pragma once

#include "serve/runs/run_reader.h"

namespace lathe::serve {

// Its row of the table. `index`: in RunState::tracks.
Json unit_row_json(const FoldedRun& run, std::size_t index);
// With laps, candidates, verdicts and exhibits; what was asked for it, and what that took. What
// cannot be read of a candidate's changes is left out.
Json unit_json(const books::Journal& journal, const FoldedRun& run, std::size_t index);
// What judges of the whole were asked, as `calls` of a unit are.
Json whole_calls_json(const FoldedRun& run);

}  // namespace lathe::serve
