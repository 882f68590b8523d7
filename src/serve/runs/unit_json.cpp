// Units as JSON.
#include "serve/runs/unit_json.h"

#include "ground/base/text.h"
#include "loop/conductor/tree.h"
#include "show/run/html_parts.h"
#include "show/run/json.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMostDiffLines = 2000;

std::string_view kind_name(show::ArtifactKind kind) {
  switch (kind) {
    case show::ArtifactKind::kSound:
      return "sound";
    case show::ArtifactKind::kPicture:
      return "picture";
    case show::ArtifactKind::kDrawing:
      return "drawing";
    case show::ArtifactKind::kChanges:
      return "changes";
    case show::ArtifactKind::kText:
      return "text";
    case show::ArtifactKind::kFilm:  // who reads this knows films by their media type
    case show::ArtifactKind::kOther:
      break;
  }
  return "other";
}

// File by file, against the snapshot that the run began with.
Result<Json> diff_json(const books::Journal& journal, const loop::RunState& state,
                       const std::string& blob) {
  LATHE_TRY(const std::string bytes, journal.blob(blob));
  LATHE_TRY(const loop::Changes changes, loop::parse_changes(bytes));
  const std::string tree = state.header.tree ? state.header.tree->blob : "";
  Json files = Json::array();
  std::size_t left = kMostDiffLines;
  for (const auto& [path, text] : changes.files) {
    LATHE_TRY(const std::string before, loop::tree_file_blob(journal, tree, path));
    std::string original;
    if (!before.empty()) {
      LATHE_TRY(original, journal.blob(before));
    }
    Json lines = Json::array();
    for (const DiffLine& line : show::shortened_diff(original, text.value_or(""))) {
      if (left == 0) break;
      --left;
      lines.push_back({std::string(1, line.kind), line.text});
    }
    files.push_back({{"path", path}, {"lines", std::move(lines)}});
  }
  return files;
}

// What came of the makers' calls for a track, by lap and candidate.
std::map<std::pair<int, int>, const loop::CandidateMade*> made_for(const FoldedRun& run,
                                                                   std::size_t index) {
  std::map<std::pair<int, int>, const loop::CandidateMade*> made;
  for (const loop::Entry& entry : run.entries)
    if (const auto* each = std::get_if<loop::CandidateMade>(&entry.event);
        each && each->call.track == index)
      made[{each->call.lap, each->call.n}] = each;
  return made;
}

void add_made(const loop::CandidateMade* made, Json& candidate) {
  candidate["bytes"] = made && made->answer ? Json(made->answer->bytes) : Json();
  candidate["worker"] = made ? made->worker.value_or("") : "";
  candidate["node"] = made && made->node ? Json(*made->node) : Json();
  candidate["ms"] = made && made->ms ? Json(*made->ms) : Json();
  candidate["reused"] = made && made->reused;
  candidate["prompt"] = made && made->prompt ? Json(*made->prompt) : Json();
  candidate["usage"] = made && made->usage.counted ? to_json(made->usage) : Json();
}

// What was asked for a track and what it took, in order; nullopt: of the judges of the whole. A
// call without an end is under way, or was when its process ended.
Json calls_json(const FoldedRun& run, std::optional<std::size_t> index) {
  Json calls = Json::array();
  for (const loop::Entry& entry : run.entries) {
    const loop::CallId* call = loop::call_of(entry.event);
    if (!call || loop::track_of(entry.event) != index) continue;
    const bool begun = std::holds_alternative<loop::CallBegun>(entry.event);
    if (begun && run.state.answered.contains(*call)) continue;
    const Json body = loop::to_record(entry).body;
    Json shown = to_json(*call);
    shown["seq"] = entry.seq;
    shown["judge_name"] = json_string(body, "judge_name");
    shown["under_way"] = begun;
    for (const char* member : {"worker", "node", "reused", "ms", "usage"})
      shown[member] = json_at(body, member);
    shown["prompt"] = json_at(json_at(body, "prompt"), "blob");
    calls.push_back(std::move(shown));
  }
  return calls;
}

}  // namespace

Json unit_row_json(const FoldedRun& run, std::size_t index) {
  const loop::Track& track = run.state.tracks[index];
  const show::TrackRow row = show::track_row(run.state, track);
  Json json = to_json(row);
  json["index"] = index;
  json["laps"] = Json::array();
  for (std::size_t i = 0; i < track.laps.size(); ++i)
    json["laps"].push_back({{"closed", track.laps[i].closed},
                            {"gained", track.laps[i].gained},
                            {"score", json["scores"][i]}});
  return json;
}

Json unit_json(const books::Journal& journal, const FoldedRun& run, std::size_t index) {
  const loop::RunState& state = run.state;
  const loop::Track& track = state.tracks[index];
  const show::TrackView view = show::track_view(state, track);
  Json json = to_json(show::track_row(state, track), view);
  json["index"] = index;
  const auto made = made_for(run, index);
  const auto ladder = ladder_of(state, track);
  for (std::size_t i = 0; i < track.laps.size(); ++i) {
    Json& lap = json["laps"][i];
    const auto rung = static_cast<std::size_t>(track.laps[i].rung);
    lap["score"] = json["scores"][i];
    lap["rung"] = rung < ladder.size() ? ladder[rung] : "";
    for (std::size_t k = 0; k < view.laps[i].candidates.size(); ++k) {
      const show::CandidateView& candidate = view.laps[i].candidates[k];
      Json& shown = lap["candidates"][k];
      shown["kind"] = kind_name(candidate.kind);
      const auto call = made.find({track.laps[i].number, candidate.n});
      add_made(call == made.end() ? nullptr : call->second, shown);
      if (candidate.kind != show::ArtifactKind::kChanges || candidate.blob.empty()) continue;
      if (auto diff = diff_json(journal, state, candidate.blob)) shown["diff"] = *std::move(diff);
    }
  }
  json["calls"] = calls_json(run, index);
  return json;
}

Json whole_calls_json(const FoldedRun& run) {
  return calls_json(run, std::nullopt);
}

}  // namespace lathe::serve
