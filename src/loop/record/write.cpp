// Events as records. Members stand in the order in which lathe 0.1 wrote them: the same event gives
// the same bytes.
#include "ground/base/error_kind.h"
#include "loop/record/event.h"

namespace lathe::loop {
namespace {

Json or_null(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json();
}

Json error_body(const Error& error) {
  return {{"kind", error_kind_name(error.kind)}, {"message", error.message}};
}

Json body_of(const LapOpened& lap) {
  return {{"track", lap.track},
          {"lap", lap.lap},
          {"move", move_name(lap.move)},
          {"rung", lap.rung},
          {"rung_name", or_null(lap.rung_name)},
          {"n", lap.n},
          {"setting", lap.setting},
          {"rule", rule_text(lap.rule)},
          {"reason", lap.reason}};
}

Json body_of(const LapClosed& lap) {
  return {{"track", lap.track},
          {"lap", lap.lap},
          {"best", lap.best},
          {"rank",
           {{"passed", lap.rank.passed},
            {"gates", lap.rank.gates},
            {"units", lap.rank.units},
            {"score", lap.rank.score}}},
          {"gained", lap.gained},
          {"not_judged", lap.not_judged},
          {"rule", rule_text(lap.rule)},
          {"reason", lap.reason}};
}

Json body_of(const TrackEnded& track) {
  return {{"track", track.track},
          {"units", track.units},
          {"state", track.passed ? "passed" : "gave_up"},
          {"rule", rule_text(track.rule)},
          {"reason", track.reason},
          {"blob", or_null(track.blob)}};
}

Json body_of(const RunEnded& run) {
  return {{"state", result_name(run.result)},
          {"reason", run.reason},
          {"passed", run.passed},
          {"gave_up", run.gave_up}};
}

Json body_of(const CallBegun& begun) {
  Json body = to_json(begun.call);
  body["key"] = begun.key;
  body["repeat"] = begun.repeat;
  return body;
}

Json body_of(const ToolBegun& begun) {
  return {{"within", to_json(begun.within)},
          {"key", begun.key},
          {"tool", begun.tool},
          {"arguments", begun.arguments},
          {"once", begun.once}};
}

Json body_of(const ToolAnswered& answered) {
  return {{"within", to_json(answered.within)},
          {"key", answered.key},
          {"ok", answered.ok},
          {"blob", answered.blob}};
}

// Where nobody was called, what it cost comes last.
void add_cost(const std::optional<std::int64_t>& ms, const Usage& usage, Json& body) {
  if (ms) body["ms"] = *ms;
  body["usage"] = to_json(usage);
}

Json body_of(const CandidateMade& made) {
  Json body = to_json(made.call);
  body["reused"] = made.reused;
  if (made.answer) body["blob"] = made.answer->blob;
  body["ok"] = made.answer.has_value();
  if (made.ms) add_cost(made.ms, made.usage, body);
  if (made.answer) {
    body["bytes"] = made.answer->bytes;
    body["media_type"] = made.answer->media_type;
    body["extension"] = made.answer->extension;
    body["facts"] = made.answer->facts;
  } else {
    body["error"] = error_body(made.answer.error());
  }
  if (!made.ms) add_cost(made.ms, made.usage, body);
  if (made.worker) body["worker"] = *made.worker;
  if (made.prompt) body["prompt"] = {{"blob", *made.prompt}};
  if (made.node) body["node"] = *made.node;
  return body;
}

Json body_of(const VerdictGiven& verdict) {
  Json body = to_json(verdict.call);
  body["reused"] = verdict.reused;
  body["judge_name"] = verdict.judge_name;
  if (verdict.judge_hash) body["judge_hash"] = *verdict.judge_hash;
  if (verdict.ms) add_cost(verdict.ms, verdict.usage, body);
  body["judgement"] = to_json(verdict.judgement);
  if (!verdict.ms) add_cost(verdict.ms, verdict.usage, body);
  if (verdict.worker) body["worker"] = *verdict.worker;
  if (verdict.prompt) body["prompt"] = {{"blob", *verdict.prompt}};
  if (verdict.node) body["node"] = *verdict.node;
  return body;
}

Json taken_laps(const std::vector<std::vector<TakenLap>>& tracks) {
  Json all = Json::array();
  for (const auto& laps : tracks) {
    Json list = Json::array();
    for (const TakenLap& lap : laps) {
      Json made = Json::object();
      for (const CandidateMade& each : lap.made) made[std::to_string(each.call.n)] = body_of(each);
      list.push_back({{"lap", body_of(lap.lap)}, {"made", std::move(made)}});
    }
    all.push_back(std::move(list));
  }
  return all;
}

Json body_of(const RunBegun& run) {
  Json inputs = Json::array(), workers = Json::array();
  for (const RunBegun::Input& input : run.inputs)
    inputs.push_back({{"path", input.path}, {"bytes", input.bytes}, {"blob", input.blob}});
  for (const RunBegun::Worker& worker : run.workers)
    workers.push_back({{"name", worker.name},
                       {"model", worker.model},
                       {"where", worker.where},
                       {"reach", worker.reach}});
  Json tree, energy;
  if (run.tree)
    tree = {{"blob", run.tree->blob}, {"root", run.tree->root}, {"left_out", run.tree->left_out}};
  if (run.energy) energy = {{"scope", run.energy->scope}, {"source", run.energy->source}};
  Json body = {{"title", run.title},           {"inputs", std::move(inputs)},
               {"files", to_json(run.files)},  {"tree", std::move(tree)},
               {"discovered", run.discovered}, {"workers", std::move(workers)},
               {"extra", run.extra},           {"format", run.format},
               {"recipe", run.recipe},         {"recipe_sha256", run.recipe_sha256},
               {"build", run.build},           {"created_ms", run.created_ms},
               {"parallel", run.parallel},     {"energy", std::move(energy)}};
  if (run.numerics) body["numerics"] = *run.numerics;
  for (const RunBegun::WorkerPrice& each : run.prices)
    body["prices"].push_back({{"worker", each.worker}, {"price", books::to_json(each.price)}});
  if (run.made_before) body["made_before"] = taken_laps(*run.made_before);
  for (const RunBegun::Tools& each : run.tools)
    body["tools"].push_back({{"server", each.server}, {"blob", each.blob}});
  return body;
}

Json body_of(const UnitsNamed& named) {
  Json units = Json::array();
  for (const Unit& unit : named.units) units.push_back(to_json(unit));
  return {{"units", std::move(units)}, {"last", named.last}};
}

Json body_of(const Paused& pause) {
  return {{"reason", pause.reason}};
}

Json body_of(const Resumed& resume) {
  return {{"build", resume.build}, {"unix_ms", resume.unix_ms}};
}

Json body_of(const Ticked&) {
  return Json::object();
}

Json body_of(const Sampled& sample) {
  const auto or_null = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  return {{"celsius", or_null(sample.celsius)}, {"watts", or_null(sample.watts)}};
}

Json body_of(const Doubted& doubted) {
  return {{"node", doubted.node}, {"since_ms", doubted.since_ms}};
}

Json body_of(const ConsentAsked& asked) {
  return {{"within", to_json(asked.within)}, {"consent", asked.consent}, {"about", asked.about}};
}

Json body_of(const ConsentAnswered& answered) {
  return {{"within", to_json(answered.within)},
          {"consent", answered.consent},
          {"given", answered.given},
          {"by", answered.by}};
}

Json body_of(const CameTooLate& late) {
  return {{"within", to_json(late.within)}, {"node", late.node}};
}

}  // namespace

Json to_json(std::span<const RunBegun::File> files) {
  Json list = Json::array();
  for (const RunBegun::File& file : files)
    list.push_back({{"path", file.path}, {"blob", file.blob}});
  return list;
}

books::Record to_record(const Entry& entry) {
  return {entry.seq, entry.t_ms, entry.joules, std::string(kind_of(entry.event)),
          std::visit([](const auto& event) { return body_of(event); }, entry.event)};
}

Json record_json(const Entry& entry) {
  books::Record record = to_record(entry);
  return {{"seq", record.seq},
          {"t_ms", record.t_ms},
          {"joules", record.joules ? Json(*record.joules) : Json()},
          {"kind", std::move(record.kind)},
          {"body", std::move(record.body)}};
}

}  // namespace lathe::loop
