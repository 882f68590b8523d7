// Entries fold into a run's state.
#include "loop/conductor/state.h"

#include "loop/conductor/account.h"

#include <algorithm>

#include "ground/base/hash.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

// The track and lap that an entry points to, or null.
Track* find_track(RunState& state, std::size_t index) {
  return index < state.tracks.size() ? &state.tracks[index] : nullptr;
}

LapState* find_lap(Track* track, int lap) {
  return track && lap >= 1 && lap <= std::ssize(track->laps)
             ? &track->laps[static_cast<std::size_t>(lap - 1)]
             : nullptr;
}

CandidateState* find_candidate(RunState& state, const CallId& call) {
  LapState* lap = find_lap(find_track(state, call.track), call.lap);
  return lap && call.n >= 0 && call.n < lap->n ? &lap->candidates[static_cast<std::size_t>(call.n)]
                                               : nullptr;
}

Status take(RunState& state, const RunBegun& run) {
  state.header = run;
  return {};
}

Status take(RunState& state, const UnitsNamed& named) {
  state.units.insert(state.units.end(), named.units.begin(), named.units.end());
  if (named.last) begin_tracks(state);
  return {};
}

Status take(RunState& state, const LapOpened& opened) {
  Track* track = find_track(state, opened.track);
  if (!track || opened.lap != std::ssize(track->laps) + 1 || opened.n < 1 || opened.n > 64)
    return invalid("it opens a lap that is not the next one");
  LapState lap;
  lap.number = opened.lap;
  lap.move = opened.move;
  lap.rung = opened.rung;
  lap.n = opened.n;
  lap.setting = opened.setting;
  lap.reason = opened.reason;
  for (int i = 0; i < lap.n; ++i) lap.candidates.emplace_back().n = i;
  track->laps.push_back(std::move(lap));
  state.due.erase(opened.track);
  state.active.insert(opened.track);
  return {};
}

Status take(RunState& state, const CallBegun& begun) {
  state.begun.insert(begun.call);
  return {};
}

// What it cost counts, and a call is answered once.
Status book(RunState& state, const CallId& call, const Usage& usage,
            const std::optional<std::string>& worker) {
  if (call.track >= std::max<std::size_t>(state.tracks.size(), 1))
    return invalid("there is no such track");
  state.usage += usage;
  if (const auto price = worker ? price_for(state.header, *worker) : std::nullopt;
      price && usage.calls > 0) {
    state.paid_nano += books::cost_of(*price, {usage.prompt_tokens - usage.cached_tokens,
                                               usage.cached_tokens, usage.completion_tokens});
    state.uncounted_paid += usage.counted ? 0 : 1;
  }
  if (!state.answered.insert(call).second) return invalid("this call has a result already");
  return {};
}

void look_again(RunState& state, std::size_t track) {
  if (state.tracks[track].state == TrackState::kOpen) state.due.insert(track);
}

Status take(RunState& state, const CandidateMade& made) {
  LATHE_TRY_STATUS(book(state, made.call, made.usage, made.worker));
  CandidateState* candidate = find_candidate(state, made.call);
  if (!candidate) return invalid("there is no such candidate");
  candidate->made = true;
  if (made.answer) {
    candidate->blob = made.answer->blob;
    candidate->media_type = made.answer->media_type;
    candidate->extension = made.answer->extension;
    candidate->facts = made.answer->facts;
  } else {
    candidate->error = made.answer.error();
  }
  look_again(state, made.call.track);
  return {};
}

Status take(RunState& state, const VerdictGiven& given) {
  LATHE_TRY_STATUS(book(state, given.call, given.usage, given.worker));
  if (given.call.judge >= state.recipe.judges.size()) return invalid("there is no such judge");
  JudgedBy verdict{given.judge_name, given.call.judge,        given.call.attempt,
                   given.judgement,  given.node.value_or(""), state.t_ms};
  if (given.call.kind == CallId::Kind::kWhole) {
    if (state.open_tracks > 0) return invalid("it judges a whole that is not there yet");
    state.whole.push_back(std::move(verdict));
    return {};
  }
  CandidateState* candidate = find_candidate(state, given.call);
  if (!candidate) return invalid("there is no such candidate");
  if (given.judgement.candidate != candidate->blob) return invalid("it judges another candidate");
  candidate->verdicts.push_back(std::move(verdict));
  look_again(state, given.call.track);
  return {};
}

Status take(RunState& state, const LapClosed& closed) {
  Track* track = find_track(state, closed.track);
  LapState* lap = find_lap(track, closed.lap);
  if (!lap || lap->closed || lap != &track->laps.back() || closed.best >= lap->n)
    return invalid("it closes a lap that is not open");
  if (closed.gained && closed.best < 0) return invalid("it takes a candidate that is not there");
  lap->closed = true;
  lap->best = closed.best;
  lap->gained = closed.gained;
  lap->not_judged = closed.not_judged;
  lap->rank = closed.rank;
  // As with the run's end: no pass that the verdicts do not give.
  if (lap->best < 0 ||
      outcome_of(state.recipe, lap->candidates[static_cast<std::size_t>(lap->best)]) !=
          Outcome::kPass)
    lap->rank.passed = false;
  if (lap->gained) track->best_lap = lap->number - 1;
  state.active.erase(closed.track);
  state.due.insert(closed.track);
  return {};
}

Status take(RunState& state, const TrackEnded& ended) {
  Track* track = find_track(state, ended.track);
  if (!track || track->state != TrackState::kOpen) return invalid("this track is not open");
  const bool passed = ended.passed && candidate_passed(state.recipe, *track);
  track->state = passed ? TrackState::kPassed : TrackState::kGaveUp;
  track->rule = ended.rule;
  track->why = ended.reason;
  --state.open_tracks;
  state.due.erase(ended.track);
  state.active.erase(ended.track);
  for (const std::size_t waiting : track->before)
    if (state.tracks[waiting].state == TrackState::kOpen) state.due.insert(waiting);
  return {};
}

Status take(RunState& state, const RunEnded& ended) {
  state.ended = true;
  state.consents.clear();
  state.end_said = ended.result;
  RunOutcome run = run_outcome(state);
  state.end_why = std::move(run.reason);
  state.end_state = run.result;
  if (state.end_state == state.end_said) return {};
  // The less that can be said for it counts.
  if (state.end_state == RunResult::kPassed) state.end_state = state.end_said;
  state.end_why +=
      fmt::format(" (its record says {}; its verdicts do not)", result_text(state.end_said));
  return {};
}

Status take(RunState& state, const Resumed&) {
  state.consents.clear();  // what was under way when the process ended
  if (state.ended) reopen(state);
  return {};
}

Status take(RunState& state, const Paused&) {
  state.consents.clear();
  return {};
}

Status take(RunState& state, const ConsentAsked& asked) {
  state.consents[asked.within] = asked;
  return {};
}

Status take(RunState& state, const ConsentAnswered& answered) {
  state.consents.erase(answered.within);
  return {};
}

Status take(RunState& state, const CameTooLate& late) {
  state.late.insert(late);
  return {};
}

Status take(RunState&, const Ticked&) {
  return {};
}

Status take(RunState& state, const Sampled& sample) {
  state.celsius.take(sample.celsius);
  state.watts.take(sample.watts);
  return {};
}

Status take(RunState& state, const ToolBegun& begun) {
  state.tool_calls[begun.key] = {.once = begun.once};
  return {};
}

Status take(RunState& state, const ToolAnswered& answered) {
  const auto call = state.tool_calls.find(answered.key);
  if (call == state.tool_calls.end() || call->second.answered)
    return invalid("it answers a call of a tool that nobody waits for");
  call->second.answered = true;
  call->second.ok = answered.ok;
  call->second.blob = answered.blob;
  return {};
}

// The call is to be made again. That it was begun stays known: some must not be made twice.
void forget(RunState& state, const CallId& call) {
  state.answered.erase(call);
}

void forget_whole(RunState& state) {
  for (const JudgedBy& verdict : state.whole)
    forget(state, CallId::whole(verdict.index, verdict.attempt));
  state.whole.clear();
}

bool is_doubted(const JudgedBy& verdict, const Doubted& doubted) {
  return verdict.node == doubted.node && verdict.t_ms >= doubted.since_ms &&
         verdict.judgement.outcome != Outcome::kError;
}

// Its verdicts become none: each judge is asked once more, as after an error.
bool doubt(std::vector<JudgedBy>& verdicts, const Doubted& doubted) {
  bool any = false;
  for (JudgedBy& verdict : verdicts) {
    if (!is_doubted(verdict, doubted)) continue;
    Judgement none;
    none.candidate = std::move(verdict.judgement.candidate);
    none.evidence = {{"not_judged", fmt::format("node {} was found broken: what it judged before "
                                                "is not believed",
                                                doubted.node)}};
    verdict.judgement = std::move(none);
    any = true;
  }
  return any;
}

// Of a track, the lap that was closed last is open again, be the track as it was; what was said of
// the whole is of another one then.
Status take(RunState& state, const Doubted& doubted) {
  doubt(state.whole, doubted);
  for (std::size_t index = 0; index < state.tracks.size(); ++index) {
    Track& track = state.tracks[index];
    bool of_last = false;
    for (LapState& lap : track.laps) {
      of_last = false;
      for (CandidateState& each : lap.candidates) of_last |= doubt(each.verdicts, doubted);
    }
    if (!of_last) continue;
    LapState& lap = track.laps.back();
    lap.closed = lap.gained = lap.not_judged = false;
    lap.best = -1;
    lap.rank = {};
    track.best_lap = -1;
    for (const LapState& each : track.laps)
      if (each.gained) track.best_lap = each.number - 1;
    if (track.state != TrackState::kOpen) ++state.open_tracks;
    track.state = TrackState::kOpen;
    track.rule = Rule::kNone;
    track.why.clear();
    state.active.insert(index);
    state.due.insert(index);
    forget_whole(state);
  }
  return {};
}

Status place(RunState& state, const Entry& entry) {
  if (entry.seq != state.next_seq) return invalid("its number is not the next one");
  if ((entry.seq == 0) != std::holds_alternative<RunBegun>(entry.event))
    return invalid("a run begins with its run record");
  if (state.ended &&
      !(std::holds_alternative<Resumed>(entry.event) && state.end_state == RunResult::kNotJudged))
    return invalid("the run has ended");
  ++state.next_seq;
  state.t_ms = std::max(state.t_ms, entry.t_ms);
  if (entry.joules) state.joules = entry.joules;
  return std::visit([&](const auto& event) { return take(state, event); }, entry.event);
}

}  // namespace

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

std::span<const Unit> units_of(const RunState& state, const Track& track) {
  return std::span(state.units).subspan(track.units.front(), track.units.size());
}

std::span<const std::string> ladder_of(const RunState& state, const Track& track) {
  const std::span<const std::string> ladder = state.recipe.ladder;
  const auto units = units_of(state, track);
  const auto own = std::ranges::find(ladder, units.empty() ? "" : own_worker(units.front()));
  return own == ladder.end() ? ladder
                             : ladder.subspan(static_cast<std::size_t>(own - ladder.begin()), 1);
}

Status apply(RunState& state, const Entry& entry) {
  if (const Status placed = place(state, entry); !placed)
    return invalid("record {} ({}) cannot stand here: {}", entry.seq, kind_of(entry.event),
                   placed.error().message);
  if (const auto* run = std::get_if<RunBegun>(&entry.event)) {
    LATHE_TRY(state.recipe, recipe_from_json(run->recipe));
  }
  return {};
}

namespace {

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
      forget(state,
             CallId::judging(index, lap.number, candidate.n, verdict.index, verdict.attempt));
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
        forget(state, CallId::make(index, track.laps.back().number, candidate.n));
      track.laps.pop_back();
    }
    if (!track.laps.empty() && track.laps.back().not_judged)
      judge_again(state, index, track.laps.back());
    track.best_lap = -1;
    for (const LapState& lap : track.laps)
      if (lap.gained) track.best_lap = lap.number - 1;
    track.state = TrackState::kOpen;
    track.rule = Rule::kNone;
    track.why.clear();
    ++state.open_tracks;
    state.due.insert(index);
    if (!track.laps.empty() && !track.laps.back().closed) state.active.insert(index);
  }
  forget_whole(state);
  state.ended = false;
}

Result<RunState> fold(std::span<const Entry> entries) {
  RunState state;
  for (const Entry& entry : entries) LATHE_TRY_STATUS(apply(state, entry));
  if (state.next_seq == 0) return invalid("the run has no records");
  return state;
}

bool rests_on(const RunState& state, const std::string& node, std::int64_t since_ms) {
  const Doubted doubted{node, since_ms};
  const auto any = [&](const std::vector<JudgedBy>& verdicts) {
    return std::ranges::any_of(verdicts,
                               [&](const JudgedBy& each) { return is_doubted(each, doubted); });
  };
  if (any(state.whole)) return true;
  for (const Track& track : state.tracks)
    for (const LapState& lap : track.laps)
      for (const CandidateState& candidate : lap.candidates)
        if (any(candidate.verdicts)) return true;
  return false;
}

const CandidateState* best_candidate(const Track& track) {
  if (track.best_lap < 0) return nullptr;
  const LapState& lap = track.laps[static_cast<std::size_t>(track.best_lap)];
  return &lap.candidates[static_cast<std::size_t>(lap.best)];
}

std::string whole_name(const RunState& state) {
  std::string blobs;
  for (const Track& track : state.tracks) {
    const CandidateState* best = best_candidate(track);
    for (std::size_t i = 0; i < track.units.size(); ++i) blobs += (best ? best->blob : "") + "\n";
  }
  return sha256_hex(blobs);
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
    attempt.n = best.n;
    attempts.push_back(std::move(attempt));
  }
  return attempts;
}

}  // namespace lathe::loop
