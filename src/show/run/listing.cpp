// The state of a run, as lists show it.
#include "show/run/listing.h"

#include "loop/conductor/state.h"

namespace lathe::show {

std::string listed_state(const books::Journal& journal, const books::RunRow& row) {
  if (row.state == "open") return row.live ? "running" : "stopped";
  if (row.state != "passed") return row.state;
  const auto passed = [](const loop::Entry& entry) {
    const auto* track = std::get_if<loop::TrackEnded>(&entry.event);
    return track && track->passed;
  };
  const auto read =
      [](const Result<std::vector<books::Record>>& records) -> Result<std::vector<loop::Entry>> {
    if (!records) return std::unexpected(records.error());
    return loop::from_records(*records);
  };
  const auto ended = read(journal.records(row.id, "unit"));
  if (ended && std::ranges::all_of(*ended, passed)) return row.state;
  const auto entries = read(journal.records(row.id));
  const auto state =
      entries ? loop::fold(*entries) : Result<loop::RunState>(std::unexpected(entries.error()));
  return !state         ? "unreadable"
         : state->ended ? std::string(result_name(state->end_state))
                        : "stopped";
}

}  // namespace lathe::show
