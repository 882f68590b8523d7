// Folds runs as they grow.
#include "serve/runs/run_reader.h"

#include <algorithm>

#include "ground/base/text.h"
#include "show/run/listing.h"
#include "show/run/terminal.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostFolded = 12;

// The name of the member of RunBegun::extra.
constexpr std::string_view kBegunBy = "by";

std::string event_of(const loop::RunState& state, const loop::Entry& entry) {
  const auto track = loop::track_of(entry.event);
  const Json data = {{"seq", entry.seq},
                     {"t_ms", entry.t_ms},
                     {"kind", loop::kind_of(entry.event)},
                     {"line", show::entry_line(state, entry)},
                     {"track", track ? Json(*track) : Json()}};
  return fmt::format("id: {}\nevent: record\ndata: {}\n\n", entry.seq, dump_json(data));
}

std::unexpected<Error> no_run(const std::string& id) {
  return fail(ErrorKind::kNotFound, "there is no run '{}'; `lathe runs` lists them",
              clip_utf8(make_valid_utf8(id), 80));
}

}  // namespace

Result<books::Journal*> RunReader::journal() {
  if (!journal_) {
    auto opened = open_();
    if (!opened) return fail(ErrorKind::kUnavailable, "{}", opened.error().message);
    journal_.emplace(*std::move(opened));
    for (auto& [id, kept] : runs_) kept.version = -1;
  }
  return &*journal_;
}

// A place that cannot be read now may be another one the next time.
template <class T>
Result<T> RunReader::or_reopen(Result<T> result) {
  if (!result && result.error().kind == ErrorKind::kUnavailable) journal_.reset();
  return result;
}

Result<std::vector<books::RunRow>> RunReader::rows() {
  LATHE_TRY(const books::Journal* journal, this->journal());
  LATHE_TRY(auto rows, or_reopen(journal->runs()));
  // Of what was erased nothing stays here either.
  const auto gone = [&](const auto& kept) {
    return std::ranges::find(rows, kept.first, &books::RunRow::id) == rows.end();
  };
  std::erase_if(runs_, gone);
  return rows;
}

// A run that has ended says so itself; one that goes on is folded.
Status RunReader::count_units(ListedRun& listed) {
  LATHE_TRY(const books::Journal* journal, this->journal());
  if (listed.state != "open") {
    LATHE_TRY(const auto ends, or_reopen(journal->records(listed.id, "end")));
    if (ends.empty()) return {};
    const std::int64_t passed = json_int(ends.back().body, "passed", 0);
    listed.units_passed = static_cast<std::size_t>(std::max<std::int64_t>(0, passed));
    listed.units = *listed.units_passed + static_cast<std::size_t>(std::max<std::int64_t>(
                                              0, json_int(ends.back().body, "gave_up", 0)));
  } else if (listed.shown_state == "running") {
    const auto run = this->run(listed.id);
    if (!run) return {};  // the list goes on without
    listed.units = (*run)->state.units.size();
    listed.units_passed = loop::run_outcome((*run)->state).passed;
  }
  return {};
}

Result<ListedRun> RunReader::shown(const books::RunRow& row,
                                   std::span<const books::QueuedRun> queue) {
  if (const auto known = ended_.find(row.id);
      known != ended_.end() && known->second.records == row.records && row.state != "open")
    return known->second;
  LATHE_TRY(const books::Journal* journal, this->journal());
  ListedRun listed;
  static_cast<books::RunRow&>(listed) = row;
  LATHE_TRY(listed.by, begun_by(row.id));
  listed.shown_state = show::listed_state(*journal, row);
  const auto waits = [&](const books::QueuedRun& each) {
    return each.run == row.id && !each.paused;
  };
  if (listed.shown_state == "stopped" && std::ranges::any_of(queue, waits))
    listed.shown_state = "queued";
  LATHE_TRY_STATUS(count_units(listed));
  if (row.state != "open") ended_[row.id] = listed;
  return listed;
}

Result<std::string> RunReader::begun_by(const std::string& run) {
  if (const auto known = begun_by_.find(run); known != begun_by_.end()) return known->second;
  LATHE_TRY(const books::Journal* journal, this->journal());
  LATHE_TRY(const auto first, or_reopen(journal->records(run, "run")));
  std::string by;
  if (!first.empty()) by = json_string(json_at(first.front().body, "extra"), kBegunBy);
  begun_by_[run] = by;
  return by;
}

Status RunReader::catch_up(FoldedRun& run) {
  LATHE_TRY(const books::Journal* journal, this->journal());
  LATHE_TRY(const auto records, or_reopen(journal->records(run.id, std::ssize(run.entries))));
  for (const books::Record& record : records) {
    LATHE_TRY(loop::Entry entry, loop::from_record(record));
    if (auto applied = loop::apply(run.state, entry); !applied)
      return at("run " + run.id, applied.error());
    run.events.push_back(event_of(run.state, entry));
    run.entries.push_back(std::move(entry));
  }
  return {};
}

void RunReader::let_go() {
  if (runs_.size() <= kMostFolded) return;
  runs_.erase(
      std::ranges::min_element(runs_, {}, [](const auto& each) { return each.second.used; }));
}

Result<const FoldedRun*> RunReader::run(const std::string& id) {
  if (!books::is_run_id(id)) return no_run(id);
  LATHE_TRY(const books::Journal* journal, this->journal());
  LATHE_TRY(const std::int64_t version, or_reopen(journal->version()));
  if (const auto known = runs_.find(id); known != runs_.end() && known->second.version == version) {
    known->second.used = ++uses_;
    return &known->second.run;
  }
  LATHE_TRY(const auto rows, this->rows());
  const auto row = std::ranges::find(rows, id, &books::RunRow::id);
  if (row == rows.end() || row->records == 0) return no_run(id);
  Kept& kept = runs_[id];
  kept.run.id = id;
  if (std::ssize(kept.run.entries) != row->records)
    if (Status fine = catch_up(kept.run); !fine) {
      runs_.erase(id);
      return std::unexpected(fine.error());
    }
  kept.run.by = json_string(kept.run.state.header.extra, kBegunBy);
  kept.version = version;
  kept.used = ++uses_;
  let_go();
  return &kept.run;
}

Result<bool> RunReader::names_blob(const books::RunRow& run, const std::string& sha256,
                                   bool known) {
  auto& [records, blobs] = blobs_[run.id];
  if (!known && records != run.records) {
    LATHE_TRY(const books::Journal* journal, this->journal());
    LATHE_TRY(blobs, or_reopen(journal->blobs_of(run.id)));
    records = run.records;
  }
  return blobs.contains(sha256);
}

}  // namespace lathe::serve
