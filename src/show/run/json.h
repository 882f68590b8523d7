// A run as JSON, for programs and pages.
#pragma once

#include "show/run/run_view.h"

namespace lathe::show {

// Its outcome, totals and table.
Json to_json(const RunSummary& run);
// A row of the table, and the track that stands in it, with its laps.
Json to_json(const TrackRow& row);
Json to_json(const TrackRow& row, const TrackView& track);
// The same, with laps, candidates (their bytes by hash), verdicts and exhibits.
Json to_json(const RunView& run);

}  // namespace lathe::show
