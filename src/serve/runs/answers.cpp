// GET /runs, /runs/{id}, /runs/{id}/units, /runs/{id}/units/{index}, /runs/{id}/events
#include "serve/runs/answers.h"

#include <algorithm>

#include "ground/base/text.h"
#include "serve/runs/query.h"
#include "serve/runs/unit_json.h"
#include "show/run/json.h"

namespace lathe::serve {
namespace {

constexpr std::int64_t kMostRows = 200;
constexpr std::int64_t kMostNumber = std::int64_t{1} << 53;  // that every reader of JSON can tell

ApiResult<Query> query_of(const RunCall& call, std::span<const std::string_view> known) {
  return Query::parse(call.request().query, known);
}

// Rows behind the cursor are older than what it names; it holds where that row has gone.
std::string cursor_of(const books::RunRow& row) {
  return fmt::format("{}_{}", row.created_ms, row.id);
}

using Place = std::pair<std::int64_t, std::string>;

ApiResult<std::optional<Place>> read_cursor(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto mark = text.find('_');
  const auto created = whole_number(std::string_view(text).substr(0, mark));
  if (mark == text.npos || !created || !books::is_run_id(text.substr(mark + 1)))
    return refuse("'before' must be what 'next' said", "before");
  return Place{*created, text.substr(mark + 1)};
}

// What it is about is for who began it.
Json row_json(const RunCall& call, const ListedRun& row) {
  const auto count = [](const std::optional<std::size_t>& units) {
    return units ? Json(*units) : Json();
  };
  return {{"id", row.id},
          {"recipe", row.recipe},
          {"title", may_see(call, row.by) ? row.title : ""},
          {"state", row.shown_state},
          {"created", format_utc(row.created_ms)},
          {"created_ms", row.created_ms},
          {"records", row.records},
          {"units", count(row.units)},
          {"units_passed", count(row.units_passed)},
          {"by", row.by}};
}

// The questions that a judge's options ask, be it from a file that the run keeps.
Json criteria_of(const books::Journal& journal, const loop::RunState& state, const Json& options) {
  Json criteria = json_at(options, "criteria");
  const std::string file = json_string(options, "criteria_file");
  if (file.empty()) return criteria.is_array() ? criteria : Json::array();
  criteria = Json::array();
  const auto named = std::ranges::find(state.header.files, file, &loop::RunBegun::File::path);
  if (named == state.header.files.end()) return criteria;
  const auto text = journal.blob(named->blob);
  if (!text) return criteria;
  for (const std::string_view line : split_lines(*text))
    if (!trim(line).empty() && !line.starts_with('#')) criteria.push_back(trim(line));
  return criteria;
}

// By what each judge goes: what a person who judges has to see, too.
Json rubrics_json(const books::Journal& journal, const loop::RunState& state) {
  Json rubrics = Json::object();
  for (const loop::JudgeSpec& judge : state.recipe.judges)
    rubrics[judge.name] = {{"kind", judge.kind->name},
                           {"stage", loop::stage_name(judge.stage)},
                           {"text", judge.kind->summary},
                           {"criteria", criteria_of(journal, state, judge.options)},
                           {"options", judge.options}};
  return rubrics;
}

Json workers_json(const loop::RunState& state) {
  Json workers = Json::array();
  for (const loop::RunBegun::Worker& worker : state.header.workers)
    workers.push_back({{"name", worker.name},
                       {"model", worker.model},
                       {"where", worker.where},
                       {"reach", worker.reach}});
  return workers;
}

// The record behind which a stream begins. What a browser has seen counts before what the page
// asked for first.
ApiResult<std::int64_t> seen_before(const RunCall& call) {
  constexpr std::string_view kKnown[] = {"after"};
  LATHE_TRY(const Query query, query_of(call, kKnown));
  LATHE_TRY(const auto after, query.whole("after", -1, kMostNumber));
  const std::string* last = call.request().header("last-event-id");
  if (!last) return after.value_or(-1);
  const auto number = whole_number(*last);
  if (!number || *number < 0 || *number > kMostNumber)
    return refuse("Last-Event-ID is not the number of a record", "last-event-id");
  return *number;
}

}  // namespace

bool may_see(const RunCall& call, std::string_view begun_by) {
  if (call.owner) return begun_by.empty() || begun_by == kOwnerName;
  return !call.key.empty() && call.key == begun_by;
}

bool may_list(const RunCall& call, std::string_view begun_by) {
  return call.owner || may_see(call, begun_by);
}

ApiResult<const FoldedRun*> run_listed(RunDesk& desk, const RunCall& call) {
  LATHE_TRY(const FoldedRun* run, or_api_error(desk.reader().run(call.names.front())));
  if (may_list(call, run->by)) return run;
  return std::unexpected(ApiError{
      404, fmt::format("there is no run '{}'; `lathe runs` lists them", run->id), {}, "not_found"});
}

ApiResult<const FoldedRun*> run_of(RunDesk& desk, const RunCall& call) {
  LATHE_TRY(const FoldedRun* run, run_listed(desk, call));
  if (!may_see(call, run->by))
    return std::unexpected(
        ApiError{403,
                 fmt::format("run {} is the key '{}''s: how far it is stands in the list, and what "
                             "it says is shown to that key alone",
                             run->id, run->by),
                 {},
                 "of_another_key"});
  return run;
}

ApiResult<ListedRun> listed_run(RunDesk& desk, const std::string& id) {
  LATHE_TRY(const auto rows, or_api_error(desk.reader().rows()));
  const auto row = std::ranges::find(rows, id, &books::RunRow::id);
  if (row == rows.end())
    return std::unexpected(ApiError{404, fmt::format("there is no run '{}'", id), {}, "not_found"});
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto queue, or_api_error(journal->queue()));
  return or_api_error(desk.reader().shown(*row, queue));
}

ApiResult<Json> open_runs(RunDesk& desk, const RunCall& call) {
  LATHE_TRY(const auto rows, or_api_error(desk.reader().rows()));
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto queue, or_api_error(journal->queue()));
  Json open = Json::array();
  for (const books::RunRow& row : rows) {
    const bool queued = std::ranges::find(queue, row.id, &books::QueuedRun::run) != queue.end();
    if (row.state != "open" || (!row.live && !queued)) continue;
    LATHE_TRY(const ListedRun listed, or_api_error(desk.reader().shown(row, queue)));
    if (!may_list(call, listed.by) || listed.shown_state == "stopped") continue;
    open.push_back(row_json(call, listed));
    if (std::ssize(open) == kMostRows) break;
  }
  return open;
}

Handled list_runs(RunDesk& desk, RunCall& call) {
  constexpr std::string_view kKnown[] = {"before", "limit"};
  LATHE_TRY(const Query query, query_of(call, kKnown));
  LATHE_TRY(const auto limit, query.whole("limit", 1, kMostRows));
  LATHE_TRY(const auto before, read_cursor(query.text("before")));
  LATHE_TRY(const auto rows, or_api_error(desk.reader().rows()));
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  LATHE_TRY(const auto queue, or_api_error(journal->queue()));
  const auto most = static_cast<std::size_t>(limit.value_or(50));
  Json shown = Json::array(), next;
  const books::RunRow* last = nullptr;
  for (const books::RunRow& row : rows) {
    if (before && Place(row.created_ms, row.id) >= *before) continue;
    LATHE_TRY(const std::string by, or_api_error(desk.reader().begun_by(row.id)));
    if (!may_list(call, by)) continue;
    if (shown.size() == most) {
      next = cursor_of(*last);
      break;
    }
    LATHE_TRY(const ListedRun listed, or_api_error(desk.reader().shown(row, queue)));
    shown.push_back(row_json(call, listed));
    last = &row;
  }
  return json_reply({{"runs", std::move(shown)}, {"next", std::move(next)}});
}

Handled show_run(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  Json json = {{"id", run->id}};
  json.update(to_json(show::overview_of(run->state, run->entries)));
  // They are there in pages: /units.
  json.erase("tracks");
  json.erase("hidden");
  json["tracks"] = run->state.tracks.size();
  json["seq"] = std::ssize(run->entries) - 1;
  json["by"] = run->by;
  json["workers"] = workers_json(run->state);
  json["rubrics"] = rubrics_json(*journal, run->state);
  json["whole_calls"] = whole_calls_json(*run);
  LATHE_TRY(const ListedRun row, listed_run(desk, json["id"]));
  json["state"] = row.shown_state;
  json["problem"] =
      row.shown_state == "queued" && desk.starter() ? desk.starter()->problem(row.id) : "";
  return json_reply(json);
}

Handled list_units(RunDesk& desk, RunCall& call) {
  constexpr std::string_view kKnown[] = {"from", "limit"};
  LATHE_TRY(const Query query, query_of(call, kKnown));
  LATHE_TRY(const auto from, query.whole("from", 0, kMostNumber));
  LATHE_TRY(const auto limit, query.whole("limit", 1, kMostRows));
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  const auto& tracks = run->state.tracks;
  const auto begin = std::min(static_cast<std::size_t>(from.value_or(0)), tracks.size());
  const auto end =
      std::min(begin + static_cast<std::size_t>(limit.value_or(kMostRows)), tracks.size());
  Json rows = Json::array();
  for (std::size_t i = begin; i < end; ++i) rows.push_back(unit_row_json(*run, i));
  return json_reply({{"tracks", std::move(rows)},
                     {"next", end < tracks.size() ? Json(end) : Json()},
                     {"of", tracks.size()},
                     {"seq", std::ssize(run->entries) - 1}});
}

Handled show_unit(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  const auto& tracks = run->state.tracks;
  const auto index = whole_number(call.names[1]);
  if (!index || *index < 0 || *index >= std::ssize(tracks))
    return std::unexpected(
        ApiError{404,
                 fmt::format("run {} has no unit of this number; it has {}, from 0 on", run->id,
                             tracks.size()),
                 {},
                 "not_found"});
  LATHE_TRY(const books::Journal* journal, or_api_error(desk.reader().journal()));
  Json json = unit_json(*journal, *run, static_cast<std::size_t>(*index));
  json["seq"] = std::ssize(run->entries) - 1;
  return json_reply(json);
}

Handled watch_run(RunDesk& desk, RunCall& call) {
  LATHE_TRY(const std::int64_t after, seen_before(call));
  LATHE_TRY(const FoldedRun* run, run_of(desk, call));
  if (call.request().method == "HEAD") return HttpReply{200, "", "text/event-stream"};
  desk.watch(call, run->id, after);
  return std::nullopt;
}

}  // namespace lathe::serve
