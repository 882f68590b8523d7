// Prints a run as JSON.
#include "show/run/json.h"

namespace lathe::show {
namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

template <class List, class Print>
Json listed(const List& list, Print print) {
  Json json = Json::array();
  for (const auto& each : list) json.push_back(print(each));
  return json;
}

Json unit_json(const UnitRow& unit) {
  return {{"key", unit.key}, {"passed", unit.passed}};
}

Json whole_json(const WholeRow& whole) {
  return {{"judge", whole.judge}, {"outcome", outcome_name(whole.outcome)}, {"score", whole.score}};
}

Json spent_json(const SpentRow& row) {
  return {{"name", row.name}, {"spent", or_null(row.spent)}, {"limit", or_null(row.limit)}};
}

Json verdict_json(const VerdictView& verdict) {
  return {{"judge", verdict.judge},
          {"stage", stage_name(verdict.stage)},
          {"outcome", outcome_name(verdict.outcome)},
          {"score", verdict.score},
          {"bar", verdict.bar},
          {"critiques",
           listed(verdict.critiques, [](const loop::Critique& each) { return to_json(each); })},
          {"exhibits",
           listed(verdict.exhibits, [](const loop::Exhibit& each) { return to_json(each); })},
          {"evidence", verdict.evidence}};
}

Json candidate_json(const CandidateView& candidate) {
  return {{"n", candidate.n},         {"error", candidate.error},
          {"blob", candidate.blob},   {"media_type", candidate.media_type},
          {"facts", candidate.facts}, {"verdicts", listed(candidate.verdicts, verdict_json)}};
}

Json lap_json(const LapView& lap) {
  return {{"lap", lap.number},
          {"move", move_name(lap.move)},
          {"reason", lap.reason},
          {"closed", lap.closed},
          {"gained", lap.gained},
          {"best", lap.best},
          {"candidates", listed(lap.candidates, candidate_json)}};
}

Json move_json(const MoveYield& move) {
  return {
      {"move", move.move}, {"laps", move.laps}, {"gained", move.gained}, {"passed", move.passed}};
}

Json yield_json(const LoopYield& yield) {
  return {{"moves", listed(yield.moves, move_json)},
          {"made", yield.made},
          {"usable", yield.usable},
          {"judged_again", yield.judged_again},
          {"flipped", yield.flipped},
          {"make_ms", yield.make_ms},
          {"judge_ms", yield.judge_ms},
          {"candidates", yield.candidates},
          {"one_shot", yield.one_shot},
          {"curve", yield.curve}};
}

}  // namespace

Json to_json(const TrackRow& row) {
  return {{"units", listed(row.units, unit_json)},
          {"text", row.text},
          {"state", track_state_name(row.state)},
          {"unjudged", row.unjudged},
          {"why", row.why},
          {"caveats", row.caveats},
          {"fault", row.fault},
          {"scores", listed(row.laps, [](const LapScore& lap) { return or_null(lap.score); })}};
}

Json to_json(const TrackRow& row, const TrackView& track) {
  Json json = to_json(row);
  json["rule"] = track.rule;
  json["laps"] = listed(track.laps, lap_json);
  return json;
}

Json to_json(const RunSummary& run) {
  return {{"outcome", run.outcome},
          {"why", run.why},
          {"units", run.units},
          {"units_passed", run.units_passed},
          {"laps", run.laps},
          {"tracks", listed(run.rows, [](const TrackRow& row) { return to_json(row); })},
          {"hidden", run.hidden},
          {"whole", listed(run.whole, whole_json)},
          {"spent", listed(run.spent, spent_json)},
          {"waits", run.waits},
          {"late", run.late},
          {"climate", run.climate}};
}

Json to_json(const RunView& run) {
  Json json = {{"recipe", run.recipe},
               {"title", run.title},
               {"build", run.build},
               {"created_ms", run.created_ms},
               {"t_ms", run.t_ms}};
  json.update(to_json(run.summary));
  json["caveats"] = run.caveats;
  for (std::size_t i = 0; i < run.tracks.size(); ++i)
    json["tracks"][i] = to_json(run.summary.rows[i], run.tracks[i]);
  json["whole"] = listed(run.whole, verdict_json);
  json["yield"] = yield_json(run.yield);
  return json;
}

}  // namespace lathe::show
