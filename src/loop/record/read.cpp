// Records as events. A body that lacks what its kind must say is refused; what may be left out has
// a fallback that makes nothing better than it was.
#include "ground/base/error_kind.h"
#include "ground/base/text.h"
#include "loop/record/event.h"

namespace lathe::loop {
namespace {

Error error_from(const Json& json) {
  return {parse_error_kind(json_string(json, "kind")).value_or(ErrorKind::kInvalid),
          json_string(json, "message")};
}

std::optional<std::string> text_at(const Json& body, std::string_view key) {
  const Json& value = json_at(body, key);
  return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

std::optional<std::int64_t> int_at(const Json& body, std::string_view key) {
  return json_at(body, key).is_number_integer() ? std::optional(json_int(body, key, 0))
                                                : std::nullopt;
}

Result<std::size_t> track_in(const Json& body) {
  const std::int64_t track = json_int(body, "track", -1);
  if (track < 0) return invalid("it names no track");
  return static_cast<std::size_t>(track);
}

Result<Rule> rule_in(const Json& body) {
  const std::string text = json_string(body, "rule");
  if (const auto rule = parse_rule(text)) return *rule;
  return invalid("'{}' is no rule of this lathe", clip_utf8(text, 40));
}

template <class E>
Result<E> read(const Json& body);

template <>
Result<LapOpened> read(const Json& body) {
  LapOpened lap;
  LATHE_TRY(lap.track, track_in(body));
  LATHE_TRY(lap.rule, rule_in(body));
  const auto move = parse_move(json_string(body, "move"));
  if (!move) return invalid("it makes no known move");
  lap.lap = static_cast<int>(json_int(body, "lap", 0));
  lap.move = *move;
  lap.rung = static_cast<int>(json_int(body, "rung", 0));
  lap.rung_name = text_at(body, "rung_name");
  lap.n = static_cast<int>(json_int(body, "n", 0));
  lap.setting = json_at(body, "setting");
  lap.reason = json_string(body, "reason");
  return lap;
}

template <>
Result<LapClosed> read(const Json& body) {
  LapClosed lap;
  LATHE_TRY(lap.track, track_in(body));
  LATHE_TRY(lap.rule, rule_in(body));
  lap.lap = static_cast<int>(json_int(body, "lap", 0));
  lap.best = static_cast<int>(json_int(body, "best", -1));
  const Json& rank = json_at(body, "rank");
  lap.rank = {json_bool(rank, "passed", false), static_cast<int>(json_int(rank, "gates", 0)),
              static_cast<int>(json_int(rank, "units", 0)), json_number(rank, "score", 0)};
  lap.gained = json_bool(body, "gained", false);
  lap.not_judged = json_bool(body, "not_judged", false);
  lap.reason = json_string(body, "reason");
  return lap;
}

template <>
Result<TrackEnded> read(const Json& body) {
  TrackEnded track;
  LATHE_TRY(track.track, track_in(body));
  LATHE_TRY(track.rule, rule_in(body));
  for (const Json& key : json_at(body, "units"))
    track.units.push_back(key.is_string() ? key.get<std::string>() : "");
  track.passed = json_string(body, "state") == "passed";
  track.reason = json_string(body, "reason");
  track.blob = text_at(body, "blob");
  return track;
}

template <>
Result<RunEnded> read(const Json& body) {
  const auto result = parse_result(json_string(body, "state"));
  if (!result) return invalid("it comes to nothing that is known");
  return RunEnded{*result, json_string(body, "reason"),
                  static_cast<std::size_t>(json_int(body, "passed", 0)),
                  static_cast<std::size_t>(json_int(body, "gave_up", 0))};
}

template <>
Result<CallBegun> read(const Json& body) {
  CallBegun begun;
  LATHE_TRY(begun.call, call_from_json(body));
  begun.key = json_string(body, "key");
  begun.repeat = json_string(body, "repeat");
  return begun;
}

template <>
Result<CandidateMade> read(const Json& body) {
  CandidateMade made;
  LATHE_TRY(made.call, call_from_json(body));
  made.reused = json_bool(body, "reused", false);
  made.ms = int_at(body, "ms");
  made.usage = usage_from_json(json_at(body, "usage"));
  made.worker = text_at(body, "worker");
  made.prompt = text_at(json_at(body, "prompt"), "blob");
  made.node = text_at(body, "node");
  if (json_bool(body, "ok", false))
    made.answer = Artifact{
        json_string(body, "blob"), static_cast<std::uint64_t>(json_int(body, "bytes", 0)),
        json_string(body, "media_type"), json_string(body, "extension"), json_at(body, "facts")};
  else
    made.answer = std::unexpected(error_from(json_at(body, "error")));
  return made;
}

template <>
Result<VerdictGiven> read(const Json& body) {
  VerdictGiven verdict;
  LATHE_TRY(verdict.call, call_from_json(body));
  LATHE_TRY(verdict.judgement, judgement_from_json(json_at(body, "judgement")));
  verdict.reused = json_bool(body, "reused", false);
  verdict.judge_name = json_string(body, "judge_name");
  verdict.judge_hash = text_at(body, "judge_hash");
  verdict.ms = int_at(body, "ms");
  verdict.usage = usage_from_json(json_at(body, "usage"));
  verdict.worker = text_at(body, "worker");
  verdict.prompt = text_at(json_at(body, "prompt"), "blob");
  verdict.node = text_at(body, "node");
  return verdict;
}

Result<std::vector<std::vector<TakenLap>>> taken_laps(const Json& tracks) {
  std::vector<std::vector<TakenLap>> all;
  for (const Json& laps : tracks) {
    auto& list = all.emplace_back();
    for (const Json& lap : laps) {
      TakenLap& taken = list.emplace_back();
      LATHE_TRY(taken.lap, read<LapOpened>(json_at(lap, "lap")));
      for (const Json& each : json_at(lap, "made")) {
        LATHE_TRY(CandidateMade made, read<CandidateMade>(each));
        taken.made.push_back(std::move(made));
      }
    }
  }
  return all;
}

std::vector<std::string> texts_in(const Json& list) {
  std::vector<std::string> texts;
  for (const Json& each : list)
    if (each.is_string()) texts.push_back(each.get<std::string>());
  return texts;
}

template <>
Result<RunBegun> read(const Json& body) {
  RunBegun run;
  run.title = json_string(body, "title");
  for (const Json& input : json_at(body, "inputs"))
    run.inputs.push_back({json_string(input, "path"),
                          static_cast<std::uint64_t>(json_int(input, "bytes", 0)),
                          json_string(input, "blob")});
  for (const Json& file : json_at(body, "files"))
    run.files.push_back({json_string(file, "path"), json_string(file, "blob")});
  if (const Json& tree = json_at(body, "tree"); tree.is_object())
    run.tree = SourceTree{json_string(tree, "blob"), json_string(tree, "root"),
                          texts_in(json_at(tree, "left_out"))};
  run.discovered = json_at(body, "discovered");
  for (const Json& worker : json_at(body, "workers"))
    run.workers.push_back({json_string(worker, "name"), json_string(worker, "model"),
                           json_string(worker, "where"), json_string(worker, "reach")});
  for (const Json& each : json_at(body, "prices")) {
    LATHE_TRY(books::Price price, books::price_from_json(json_at(each, "price")));
    run.prices.push_back({json_string(each, "worker"), std::move(price)});
  }
  run.extra = json_at(body, "extra");
  run.format = static_cast<int>(json_int(body, "format", 1));
  run.recipe = json_at(body, "recipe");
  run.recipe_sha256 = json_string(body, "recipe_sha256");
  run.build = json_string(body, "build");
  if (body.contains("numerics")) run.numerics = static_cast<int>(json_int(body, "numerics", 1));
  run.created_ms = json_int(body, "created_ms", 0);
  run.parallel = static_cast<int>(json_int(body, "parallel", 1));
  if (const Json& energy = json_at(body, "energy"); energy.is_object())
    run.energy = EnergySource{json_string(energy, "scope"), json_string(energy, "source")};
  for (const Json& each : json_at(body, "tools"))
    run.tools.push_back({json_string(each, "server"), json_string(each, "blob")});
  if (const Json& before = json_at(body, "made_before"); !before.is_null()) {
    LATHE_TRY(run.made_before, taken_laps(before));
  }
  return run;
}

template <>
Result<UnitsNamed> read(const Json& body) {
  UnitsNamed named;
  for (const Json& unit : json_at(body, "units")) named.units.push_back(unit_from_json(unit));
  named.last = json_bool(body, "last", false);
  return named;
}

template <>
Result<Paused> read(const Json& body) {
  return Paused{json_string(body, "reason")};
}

template <>
Result<Resumed> read(const Json& body) {
  return Resumed{json_string(body, "build"), json_int(body, "unix_ms", 0)};
}

template <>
Result<Ticked> read(const Json&) {
  return Ticked{};
}

template <>
Result<Sampled> read(const Json& body) {
  const auto number = [&](const char* name) {
    const Json& value = json_at(body, name);
    return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
  };
  return Sampled{number("celsius"), number("watts")};
}

template <>
Result<ToolBegun> read(const Json& body) {
  ToolBegun begun;
  LATHE_TRY(begun.within, call_from_json(json_at(body, "within")));
  begun.key = json_string(body, "key");
  if (begun.key.empty()) return invalid("it names no call of a tool");
  begun.tool = json_string(body, "tool");
  begun.arguments = json_string(body, "arguments");
  begun.once = json_bool(body, "once", true);
  return begun;
}

template <>
Result<ToolAnswered> read(const Json& body) {
  ToolAnswered answered;
  LATHE_TRY(answered.within, call_from_json(json_at(body, "within")));
  answered.key = json_string(body, "key");
  answered.ok = json_bool(body, "ok", false);
  answered.blob = json_string(body, "blob");
  return answered;
}

template <>
Result<Doubted> read(const Json& body) {
  Doubted doubted{json_string(body, "node"), json_int(body, "since_ms", 0)};
  if (doubted.node.empty()) return invalid("it names no node");
  return doubted;
}

template <>
Result<ConsentAsked> read(const Json& body) {
  ConsentAsked asked;
  LATHE_TRY(asked.within, call_from_json(json_at(body, "within")));
  asked.consent = json_string(body, "consent");
  if (asked.consent.empty()) return invalid("it names no consent");
  asked.about = json_string(body, "about");
  return asked;
}

template <>
Result<ConsentAnswered> read(const Json& body) {
  ConsentAnswered answered;
  LATHE_TRY(answered.within, call_from_json(json_at(body, "within")));
  answered.consent = json_string(body, "consent");
  answered.given = json_bool(body, "given", false);
  answered.by = json_string(body, "by");
  return answered;
}

template <>
Result<CameTooLate> read(const Json& body) {
  CameTooLate late;
  LATHE_TRY(late.within, call_from_json(json_at(body, "within")));
  late.node = json_string(body, "node");
  if (late.node.empty()) return invalid("it names no node");
  return late;
}

struct Kind {
  std::string_view name;
  Result<Event> (*read)(const Json& body);
};

template <class E>
Result<Event> read_event(const Json& body) {
  LATHE_TRY(E event, read<E>(body));
  return Event(std::move(event));
}

// In the order of the variant.
constexpr Kind kKinds[] = {
    {"run", read_event<RunBegun>},
    {"units", read_event<UnitsNamed>},
    {"lap", read_event<LapOpened>},
    {"call", read_event<CallBegun>},
    {"made", read_event<CandidateMade>},
    {"verdict", read_event<VerdictGiven>},
    {"close", read_event<LapClosed>},
    {"unit", read_event<TrackEnded>},
    {"end", read_event<RunEnded>},
    {"pause", read_event<Paused>},
    {"resume", read_event<Resumed>},
    {"tick", read_event<Ticked>},
    {"sample", read_event<Sampled>},
    {"tool", read_event<ToolBegun>},
    {"tool_answer", read_event<ToolAnswered>},
    {"doubt", read_event<Doubted>},
    {"consent", read_event<ConsentAsked>},
    {"consent_answer", read_event<ConsentAnswered>},
    {"stale", read_event<CameTooLate>},
};
static_assert(std::size(kKinds) == std::variant_size_v<Event>);

}  // namespace

std::string_view kind_of(const Event& event) {
  return kKinds[event.index()].name;
}

Result<Entry> from_record(const books::Record& record) {
  for (const Kind& kind : kKinds) {
    if (kind.name != record.kind) continue;
    auto event = kind.read(record.body);
    if (!event)
      return invalid("record {} ({}) cannot be read: {}", record.seq, record.kind,
                     event.error().message);
    return Entry{record.seq, record.t_ms, record.joules, *std::move(event)};
  }
  return invalid("record {} ({}) cannot be read: this lathe does not know this kind", record.seq,
                 record.kind);
}

Result<std::vector<Entry>> from_records(std::span<const books::Record> records) {
  std::vector<Entry> entries;
  entries.reserve(records.size());
  for (const books::Record& record : records) {
    LATHE_TRY(Entry entry, from_record(record));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace lathe::loop
