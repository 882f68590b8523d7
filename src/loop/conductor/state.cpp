// Records fold into a run's state.
#include "loop/conductor/state.h"

#include <algorithm>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

Status wrong(const books::Record& record, std::string_view why) {
  return invalid("record {} ({}) cannot stand here: {}", record.seq, record.kind, why);
}

std::optional<ErrorKind> parse_error_kind(std::string_view name) {
  for (const auto& [kind, text] : {std::pair{ErrorKind::kInvalid, "invalid"},
                                   {ErrorKind::kNotFound, "not_found"},
                                   {ErrorKind::kUnavailable, "unavailable"},
                                   {ErrorKind::kDenied, "denied"},
                                   {ErrorKind::kTimeout, "timeout"},
                                   {ErrorKind::kCancelled, "cancelled"}})
    if (name == text) return kind;
  return std::nullopt;
}

// The track, lap and candidate that a body points to, or null.
Track* find_track(RunState& state, const Json& body) {
  const auto index = json_int(body, "track", -1);
  return index >= 0 && index < std::ssize(state.tracks)
             ? &state.tracks[static_cast<std::size_t>(index)]
             : nullptr;
}

LapState* find_lap(Track* track, const Json& body) {
  const auto lap = json_int(body, "lap", 0);
  return track && lap >= 1 && lap <= std::ssize(track->laps)
             ? &track->laps[static_cast<std::size_t>(lap - 1)]
             : nullptr;
}

Status apply_lap(RunState& state, const books::Record& record) {
  const Json& body = record.body;
  Track* track = find_track(state, body);
  const auto move = parse_move(json_string(body, "move"));
  const auto n = json_int(body, "n", 0);
  if (!track || !move || json_int(body, "lap", 0) != std::ssize(track->laps) + 1 || n < 1 || n > 64)
    return wrong(record, "it opens a lap that is not the next one");
  LapState lap;
  lap.number = static_cast<int>(track->laps.size()) + 1;
  lap.move = *move;
  lap.rung = static_cast<int>(json_int(body, "rung", 0));
  lap.n = static_cast<int>(n);
  lap.setting = json_at(body, "setting");
  lap.reason = json_string(body, "reason");
  for (int i = 0; i < lap.n; ++i) lap.candidates.emplace_back().n = i;
  track->laps.push_back(std::move(lap));
  const auto index = static_cast<std::size_t>(track - state.tracks.data());
  state.due.erase(index);
  state.active.insert(index);
  return {};
}

Status apply_result(RunState& state, const books::Record& record) {
  const Json& body = record.body;
  const RunCall call = call_from_json(body);
  state.usage += usage_from_json(json_at(body, "usage"));
  if (!state.answered.insert(call.id()).second)
    return wrong(record, "this call has a result already");
  if (record.kind == "verdict") {
    LATHE_TRY(Judgement judgement, judgement_from_json(json_at(body, "judgement")));
    JudgedBy verdict{json_string(body, "judge_name"), call.judge, call.attempt,
                     std::move(judgement)};
    if (verdict.index >= state.recipe.judges.size()) return wrong(record, "there is no such judge");
    if (call.kind == "whole") {
      state.whole.push_back(std::move(verdict));
      return {};
    }
    LapState* lap = find_lap(find_track(state, body), body);
    if (!lap || call.n < 0 || call.n >= lap->n) return wrong(record, "there is no such candidate");
    CandidateState& candidate = lap->candidates[static_cast<std::size_t>(call.n)];
    if (verdict.judgement.candidate != candidate.blob)
      return wrong(record, "it judges another candidate");
    candidate.verdicts.push_back(std::move(verdict));
  } else {
    LapState* lap = find_lap(find_track(state, body), body);
    if (!lap || call.n < 0 || call.n >= lap->n) return wrong(record, "there is no such candidate");
    CandidateState& candidate = lap->candidates[static_cast<std::size_t>(call.n)];
    candidate.made = true;
    if (json_bool(body, "ok", false)) {
      candidate.blob = json_string(body, "blob");
      candidate.media_type = json_string(body, "media_type");
      candidate.extension = json_string(body, "extension");
      candidate.facts = json_at(body, "facts");
    } else {
      const Json& error = json_at(body, "error");
      candidate.error =
          Error{parse_error_kind(json_string(error, "kind")).value_or(ErrorKind::kInvalid),
                json_string(error, "message")};
    }
  }
  if (state.tracks[call.track].state == TrackState::kOpen) state.due.insert(call.track);
  return {};
}

Status apply_close(RunState& state, const books::Record& record) {
  const Json& body = record.body;
  Track* track = find_track(state, body);
  LapState* lap = find_lap(track, body);
  const auto best = json_int(body, "best", -1);
  if (!lap || lap->closed || lap != &track->laps.back() || best >= lap->n)
    return wrong(record, "it closes a lap that is not open");
  lap->closed = true;
  lap->best = static_cast<int>(best);
  lap->gained = json_bool(body, "gained", false);
  lap->not_judged = json_bool(body, "not_judged", false);
  const Json& rank = json_at(body, "rank");
  lap->rank = {json_bool(rank, "passed", false), static_cast<int>(json_int(rank, "gates", 0)),
               static_cast<int>(json_int(rank, "units", 0)), json_number(rank, "score", 0)};
  // As with the run's end: no pass that the verdicts do not give.
  if (lap->best < 0 ||
      outcome_of(state.recipe, lap->candidates[static_cast<std::size_t>(lap->best)]) !=
          Outcome::kPass)
    lap->rank.passed = false;
  if (lap->gained) track->best_lap = lap->number - 1;
  const auto index = static_cast<std::size_t>(track - state.tracks.data());
  state.active.erase(index);
  state.due.insert(index);
  return {};
}

Status apply_unit(RunState& state, const books::Record& record) {
  Track* track = find_track(state, record.body);
  if (!track || track->state != TrackState::kOpen) return wrong(record, "this track is not open");
  const bool passed =
      json_string(record.body, "state") == "passed" && candidate_passed(state.recipe, *track);
  track->state = passed ? TrackState::kPassed : TrackState::kGaveUp;
  track->rule = json_string(record.body, "rule");
  track->why = json_string(record.body, "reason");
  --state.open_tracks;
  const auto index = static_cast<std::size_t>(track - state.tracks.data());
  state.due.erase(index);
  state.active.erase(index);
  for (const std::size_t waiting : track->before)
    if (state.tracks[waiting].state == TrackState::kOpen) state.due.insert(waiting);
  return {};
}

void end(RunState& state, std::string said) {
  state.ended = true;
  state.end_said = std::move(said);
  RunOutcome run = run_outcome(state);
  state.end_why = std::move(run.reason);
  state.end_state = std::move(run.state);
  if (state.end_state == state.end_said) return;
  // The less that can be said for it counts.
  if (state.end_state == "passed") state.end_state = state.end_said;
  state.end_why += fmt::format(" (its record says {}; its verdicts do not)",
                               replace_all(state.end_said, "_", " "));
}

}  // namespace

std::string_view error_kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return "invalid";
    case ErrorKind::kNotFound:
      return "not_found";
    case ErrorKind::kUnavailable:
      return "unavailable";
    case ErrorKind::kDenied:
      return "denied";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kCancelled:
      return "cancelled";
  }
  return "";
}

std::string_view track_state_name(TrackState state) {
  switch (state) {
    case TrackState::kOpen:
      return "open";
    case TrackState::kPassed:
      return "passed";
    case TrackState::kGaveUp:
      return "gave_up";
  }
  return "";
}

std::string RunCall::id() const {
  return fmt::format("{}:{}:{}:{}:{}:{}", kind, track, lap, n, judge, attempt);
}

Json to_json(const RunCall& call) {
  return {{"call", call.id()}, {"kind", call.kind},   {"track", call.track},    {"lap", call.lap},
          {"n", call.n},       {"judge", call.judge}, {"attempt", call.attempt}};
}

RunCall call_from_json(const Json& body) {
  return {json_string(body, "kind"),
          static_cast<std::size_t>(json_int(body, "track", 0)),
          static_cast<int>(json_int(body, "lap", 0)),
          static_cast<int>(json_int(body, "n", 0)),
          static_cast<std::size_t>(json_int(body, "judge", 0)),
          static_cast<int>(json_int(body, "attempt", 0))};
}

void begin_tracks(RunState& state) {
  state.tracks.clear();
  if (state.recipe.maker->whole_group) {
    Track track;
    for (std::size_t i = 0; i < state.units.size(); ++i) track.units.push_back(i);
    if (!track.units.empty()) state.tracks.push_back(std::move(track));
  } else {
    std::map<std::string, std::size_t> index;
    for (std::size_t i = 0; i < state.units.size(); ++i) {
      index[state.units[i].key] = i;
      state.tracks.emplace_back().units = {i};
    }
    for (std::size_t i = 0; i < state.units.size(); ++i)
      for (const Json& key : json_at(state.units[i].data, "after"))
        if (const auto found = index.find(key.is_string() ? key.get<std::string>() : "");
            found != index.end()) {
          state.tracks[i].after.push_back(found->second);
          state.tracks[found->second].before.push_back(i);
        }
  }
  state.open_tracks = state.tracks.size();
  for (std::size_t i = 0; i < state.tracks.size(); ++i)
    if (state.tracks[i].after.empty()) state.due.insert(i);
}

Status apply(RunState& state, const books::Record& record) {
  if (record.seq != state.next_seq) return wrong(record, "its number is not the next one");
  if ((record.seq == 0) != (record.kind == "run"))
    return wrong(record, "a run begins with its run record");
  if (state.ended && !(record.kind == "resume" && state.end_state == "not_judged"))
    return wrong(record, "the run has ended");
  ++state.next_seq;
  state.t_ms = std::max(state.t_ms, record.t_ms);
  if (record.joules) state.joules = record.joules;
  const Json& body = record.body;
  if (record.kind == "run") {
    LATHE_TRY(state.recipe, recipe_from_json(json_at(body, "recipe")));
    state.header = body;
  } else if (record.kind == "units") {
    for (const Json& unit : json_at(body, "units")) state.units.push_back(unit_from_json(unit));
    if (json_bool(body, "last", false)) begin_tracks(state);
  } else if (record.kind == "lap") {
    return apply_lap(state, record);
  } else if (record.kind == "call") {
    state.begun.insert(call_from_json(body).id());
  } else if (record.kind == "made" || record.kind == "verdict") {
    if (call_from_json(body).track >= std::max<std::size_t>(state.tracks.size(), 1))
      return wrong(record, "there is no such track");
    return apply_result(state, record);
  } else if (record.kind == "close") {
    return apply_close(state, record);
  } else if (record.kind == "unit") {
    return apply_unit(state, record);
  } else if (record.kind == "end") {
    end(state, json_string(body, "state"));
  } else if (record.kind == "resume") {
    if (state.ended) reopen(state);
  } else if (record.kind != "pause" && record.kind != "tick") {
    return wrong(record, "this lathe does not know this kind");
  }
  return {};
}

namespace {

// The call is to be made again. That it was begun stays known: some must not be made twice.
void forget(RunState& state, const RunCall& call) {
  state.answered.erase(call.id());
}

bool nobody_answered(const LapState& lap) {
  return std::ranges::all_of(lap.candidates, [](const CandidateState& candidate) {
    return candidate.error && candidate.error->kind != ErrorKind::kInvalid;
  });
}

// The lap's judges that gave no verdict are asked again.
void judge_again(RunState& state, std::size_t index, LapState& lap) {
  lap.closed = lap.gained = lap.not_judged = false;
  lap.best = -1;
  for (CandidateState& candidate : lap.candidates) {
    std::set<std::size_t> silent;
    for (const JudgedBy* verdict : counted_verdicts(candidate))
      if (verdict->judgement.outcome == Outcome::kError) silent.insert(verdict->index);
    std::erase_if(candidate.verdicts, [&](const JudgedBy& verdict) {
      if (!silent.contains(verdict.index)) return false;
      forget(state, {"judge", index, lap.number, candidate.n, verdict.index, verdict.attempt});
      return true;
    });
  }
}

}  // namespace

void reopen(RunState& state) {
  for (std::size_t index = 0; index < state.tracks.size(); ++index) {
    Track& track = state.tracks[index];
    if (!without_verdict(track)) continue;
    while (!track.laps.empty() && nobody_answered(track.laps.back())) {
      for (const CandidateState& candidate : track.laps.back().candidates)
        forget(state, {"make", index, track.laps.back().number, candidate.n, 0, 0});
      track.laps.pop_back();
    }
    if (!track.laps.empty() && track.laps.back().not_judged)
      judge_again(state, index, track.laps.back());
    track.best_lap = -1;
    for (const LapState& lap : track.laps)
      if (lap.gained) track.best_lap = lap.number - 1;
    track.state = TrackState::kOpen;
    track.rule.clear();
    track.why.clear();
    ++state.open_tracks;
    state.due.insert(index);
    if (!track.laps.empty() && !track.laps.back().closed) state.active.insert(index);
  }
  for (const JudgedBy& verdict : state.whole)
    forget(state, {"whole", 0, 0, 0, verdict.index, verdict.attempt});
  state.whole.clear();
  state.ended = false;
}

Result<RunState> fold(std::span<const books::Record> records) {
  RunState state;
  for (const books::Record& record : records) LATHE_TRY_STATUS(apply(state, record));
  if (state.next_seq == 0) return invalid("the run has no records");
  return state;
}

const CandidateState* best_candidate(const Track& track) {
  if (track.best_lap < 0) return nullptr;
  const LapState& lap = track.laps[static_cast<std::size_t>(track.best_lap)];
  return &lap.candidates[static_cast<std::size_t>(lap.best)];
}

std::vector<const JudgedBy*> counted_verdicts(const CandidateState& candidate) {
  std::map<std::size_t, const JudgedBy*> last;  // in the order of the recipe
  for (const JudgedBy& verdict : candidate.verdicts) {
    const JudgedBy*& slot = last[verdict.index];
    if (!slot || slot->attempt < verdict.attempt) slot = &verdict;
  }
  std::vector<const JudgedBy*> verdicts;
  for (const auto& [index, verdict] : last) verdicts.push_back(verdict);
  return verdicts;
}

std::vector<Critique> critiques_of(const CandidateState& candidate) {
  std::vector<Critique> critiques;
  std::set<std::string> seen;
  if (candidate.error)
    critiques.push_back(
        {"", "must", "the answer could not be used: " + candidate.error->message, "", ""});
  for (const JudgedBy* verdict : counted_verdicts(candidate)) {
    if (verdict->judgement.outcome == Outcome::kError) continue;  // never shown to the generator
    for (const Critique& critique : verdict->judgement.critiques)
      if (seen.insert(fingerprint_of(critique)).second) critiques.push_back(critique);
  }
  std::ranges::stable_sort(critiques, {}, [](const Critique& c) { return c.severity != "must"; });
  return critiques;
}

std::vector<Attempt> attempts_of(const Track& track) {
  std::vector<Attempt> attempts;
  for (const LapState& lap : track.laps) {
    if (!lap.closed) break;
    Attempt attempt;
    attempt.lap = lap.number;
    attempt.move = lap.move;
    attempt.rung = lap.rung;
    attempt.setting = lap.setting;
    attempt.passed = lap.rank.passed;
    attempt.score = lap.rank.score;
    attempt.gained = lap.gained;
    const CandidateState& best =
        lap.candidates[lap.best < 0 ? 0 : static_cast<std::size_t>(lap.best)];
    attempt.made = !best.error && !best.blob.empty();
    attempt.critiques = critiques_of(best);
    attempts.push_back(std::move(attempt));
  }
  return attempts;
}

}  // namespace lathe::loop
