// The decisions of a run: when a lap closes, what comes next and when to stop. Pure. What verdicts
// add up to stands in outcome.cpp.
#include <algorithm>

#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "loop/conductor/state.h"

namespace lathe::loop {
namespace {

bool is_waiting(const RunState& state, const Track& track) {
  return std::ranges::any_of(track.after, [&](std::size_t other) {
    return state.tracks[other].state == TrackState::kOpen;
  });
}

TrackEnded end_track(const RunState& state, std::size_t index, bool passed, Rule rule,
                     std::string reason) {
  const Track& track = state.tracks[index];
  TrackEnded ended{index, {}, passed, rule, std::move(reason), {}};
  for (const Unit& unit : units_of(state, track)) ended.units.push_back(unit.key);
  if (const CandidateState* best = best_candidate(track)) ended.blob = best->blob;
  return ended;
}

// The last unit that the best candidate so far has passed and this one does not; "": none.
std::string lost_unit(const RunState& state, const Track& track, const CandidateState& candidate) {
  const std::vector<bool> before = units_passed(state, track);
  const std::vector<bool> now = units_passing(state, track, candidate);
  const auto units = units_of(state, track);
  for (std::size_t i = units.size(); i-- > 0;)
    if (before[i] && !now[i]) return units[i].key;
  return {};
}

LapClosed close_lap(const RunState& state, std::size_t index) {
  const Track& track = state.tracks[index];
  const LapState& lap = track.laps.back();
  int best = -1;
  Rank rank;
  bool not_judged = false;
  for (const CandidateState& candidate : lap.candidates) {
    if (candidate.error) continue;
    const Rank mine = rank_of(state, track, candidate);
    not_judged |= outcome_of(state.recipe, candidate) == Outcome::kError;
    if (best < 0 || better(mine, rank)) {
      best = candidate.n;
      rank = mine;
    }
  }
  not_judged &= !rank.passed;

  // The ratchet: better, and no unit that the best so far has passed is lost.
  bool gained = best >= 0;
  std::string lost;
  if (const CandidateState* before = best_candidate(track); before && gained) {
    gained = better(rank, track.laps[static_cast<std::size_t>(track.best_lap)].rank);
    if (gained && !rank.passed)
      lost = lost_unit(state, track, lap.candidates[static_cast<std::size_t>(best)]);
    gained &= lost.empty();
  }
  const double shown =
      best < 0 ? 0 : 10 * weakest_score(lap.candidates[static_cast<std::size_t>(best)]);
  const std::string reason =
      best < 0        ? "no candidate could be used: " + lap.candidates.front().error->message
      : rank.passed   ? fmt::format("score {:.1f}, passed", shown)
      : !lost.empty() ? fmt::format("not taken: it loses {}, which had passed", lost)
      : gained        ? fmt::format("score {:.1f}, the best so far", shown)
                      : fmt::format("score {:.1f}, no gain", shown);
  return {index,
          lap.number,
          best,
          rank,
          gained,
          not_judged,
          lost.empty() ? Rule::kRatchet : Rule::kNoPassIsLost,
          reason};
}

const CandidateState* lap_best(const LapState& lap) {
  return lap.best < 0 ? nullptr : &lap.candidates[static_cast<std::size_t>(lap.best)];
}

std::set<std::string> failing_set(const LapState& lap) {
  std::set<std::string> set;
  if (const CandidateState* best = lap_best(lap))
    for (const Critique& critique : critiques_of(*best)) set.insert(fingerprint_of(critique));
  return set;
}

// The same artifact, judged by the same judge, once pass and once fail: the judge is to blame.
std::string flapping_judge(const Recipe& recipe, const Track& track) {
  std::map<std::pair<std::string, std::size_t>, Outcome> seen;
  for (const LapState& lap : track.laps)
    for (const CandidateState& candidate : lap.candidates)
      for (const JudgedBy* verdict : counted_verdicts(candidate)) {
        const Outcome outcome = verdict->judgement.outcome;
        if (outcome != Outcome::kPass && outcome != Outcome::kFail) continue;
        const auto [it, fresh] = seen.try_emplace({candidate.blob, verdict->index}, outcome);
        if (!fresh && it->second != outcome) return recipe.judges[verdict->index].name;
      }
  return {};
}

struct Stall {
  Rule rule = Rule::kNone;
  std::string reason;
};

// Why another lap on this rung would likely be wasted. Only laps since the last change of rung
// count.
std::optional<Stall> stalled(const RunState& state, const Track& track) {
  std::vector<const LapState*> laps;
  for (const LapState& lap : track.laps) {
    if (!laps.empty() && laps.back()->rung != lap.rung) laps.clear();
    laps.push_back(&lap);
  }
  const auto blob = [&](std::size_t from_end) -> std::string {
    if (from_end >= laps.size()) return {};
    const CandidateState* best = lap_best(*laps[laps.size() - 1 - from_end]);
    return best ? best->blob : std::string();
  };
  if (!blob(0).empty() && blob(0) == blob(1))
    return Stall{Rule::kIdentical, fmt::format("lap {} made the same candidate as the lap before",
                                               laps.back()->number)};
  if (!blob(0).empty() && blob(0) == blob(2) && !blob(1).empty() && blob(1) == blob(3))
    return Stall{Rule::kBackAndForth, "the candidates go back and forth between two versions"};
  if (laps.size() >= 3) {
    const auto now = failing_set(*laps[laps.size() - 1]);
    if (!now.empty() && now == failing_set(*laps[laps.size() - 2]) &&
        now == failing_set(*laps[laps.size() - 3]))
      return Stall{Rule::kSameFaults, "the same faults stand after two more laps"};
  }
  int without_gain = 0;
  for (auto it = laps.rbegin(); it != laps.rend() && !(*it)->gained; ++it) ++without_gain;
  if (without_gain >= state.recipe.stop.no_gain)
    return Stall{Rule::kNoGain, counted(static_cast<std::size_t>(without_gain), "lap") +
                                    " without a better candidate"};
  return std::nullopt;
}

std::string failing_words(const LapState& lap) {
  std::vector<std::string> claims;
  if (const CandidateState* best = lap_best(lap))
    for (const Critique& critique : critiques_of(*best))
      if (claims.size() < 3) claims.push_back(clip_utf8(critique.claim, 120));
  if (claims.empty())
    for (const CandidateState& candidate : lap.candidates)
      if (candidate.error) return clip_utf8(candidate.error->message, 300);
  return join(claims, "; ");
}

std::string not_judged_reason(const LapState& lap) {
  for (const CandidateState& candidate : lap.candidates)
    for (const JudgedBy* verdict : counted_verdicts(candidate))
      if (verdict->judgement.outcome == Outcome::kError) {
        const std::string why = why_not_judged(verdict->judgement);
        return fmt::format("judge '{}': {}", verdict->judge, why.empty() ? "gave no verdict" : why);
      }
  return "a judge gave no verdict";
}

// A worker that cannot be reached is left for the next rung, openly: the decision says so.
bool rung_is_unavailable(const LapState& lap) {
  return std::ranges::all_of(lap.candidates, [](const CandidateState& candidate) {
    return candidate.error && candidate.error->kind != ErrorKind::kInvalid;
  });
}

LapOpened open_lap(const RunState& state, std::size_t index, const Proposal& proposal, Rule rule) {
  const auto ladder = ladder_of(state, state.tracks[index]);
  const auto rung = static_cast<std::size_t>(proposal.rung);
  return {index,
          static_cast<int>(state.tracks[index].laps.size()) + 1,
          proposal.move,
          proposal.rung,
          rung < ladder.size() ? std::optional(ladder[rung]) : std::nullopt,
          std::clamp(proposal.n, 1, 64),
          proposal.setting,
          rule,
          proposal.reason};
}

// A run that judges an old run's candidates: its laps are the old ones, as far as they are needed.
Event decide_rejudged_lap(const RunState& state, std::size_t index) {
  const Track& track = state.tracks[index];
  const auto& before = *state.header.made_before;
  const auto laps = index < before.size() ? std::span(before[index]) : std::span<const TakenLap>();
  if (!track.laps.empty() && track.laps.back().rank.passed)
    return end_track(state, index, true, Rule::kPassed,
                     fmt::format("in lap {}", track.laps.size()));
  if (!track.laps.empty() && track.laps.back().not_judged)
    return end_track(state, index, false, Rule::kNotJudged, not_judged_reason(track.laps.back()));
  if (track.laps.size() < laps.size()) {
    LapOpened next = laps[track.laps.size()].lap;
    next.rule = Rule::kMadeBefore;
    return next;
  }
  return end_track(
      state, index, false, Rule::kNoFurtherCandidate,
      track.laps.empty() ? "nothing was made" : "still wrong: " + failing_words(track.laps.back()));
}

std::optional<Event> decide_next_lap(const RunState& state, std::size_t index) {
  const Track& track = state.tracks[index];
  const Recipe& recipe = state.recipe;
  if (state.header.made_before) return decide_rejudged_lap(state, index);
  const auto propose = [&](std::span<const Attempt> so_far) {
    return recipe.maker->propose({recipe.make_options, ladder_of(state, track),
                                  units_of(state, track), so_far, recipe.best_of, recipe.repairs});
  };
  if (track.laps.empty()) {
    auto first = propose({});
    if (first && !state.header.baseline_of().empty()) {
      // What a loop is compared with: as many independent samples at once, hot enough to differ.
      first->n = recipe.best_of;
      first->move = Move::kResample;
      if (first->setting.contains("temperature")) first->setting["temperature"] = 0.8;
    }
    if (!first)
      return end_track(state, index, false, Rule::kNoMove, "the maker has nothing to begin with");
    return open_lap(state, index, *first, Rule::kFirstLap);
  }

  const LapState& last = track.laps.back();
  if (last.rank.passed)
    return end_track(state, index, true, Rule::kPassed, fmt::format("in lap {}", last.number));
  if (last.not_judged)
    return end_track(state, index, false, Rule::kNotJudged, not_judged_reason(last));
  if (const std::string judge = flapping_judge(recipe, track); !judge.empty())
    return end_track(
        state, index, false, Rule::kJudgeFlap,
        fmt::format("judge '{}' judged the same candidate once so and once otherwise", judge));
  // A lap in which nobody answered says nothing about the work, and is none that is used up.
  if (last.number >= recipe.stop.laps && !rung_is_unavailable(last))
    return end_track(
        state, index, false, Rule::kLaps,
        fmt::format("{} {} used up; still wrong: {}", counted(track.laps.size(), "lap"),
                    last.number == 1 ? "is" : "are", failing_words(last)));

  std::optional<Proposal> next;
  if (rung_is_unavailable(last)) {
    if (last.rung + 1 < std::ssize(ladder_of(state, track))) next = propose({});
    if (!next) return end_track(state, index, false, Rule::kRungUnavailable, failing_words(last));
    next->move = Move::kEscalate;
    next->rung = last.rung + 1;
    next->reason = "not available: " + failing_words(last);
    return open_lap(state, index, *next, Rule::kRungUnavailable);
  }
  next = propose(attempts_of(track));
  const std::string still = failing_words(last);
  if (!next)
    return end_track(state, index, false, Rule::kNoFurtherMove,
                     "every move was tried; still wrong: " + still);
  if (const auto stall = stalled(state, track)) {
    // A stall ends the rung, not the track: a fresh start is allowed once, then only a higher rung.
    const bool fresh = next->move == Move::kResample && last.move != Move::kResample;
    if (next->rung == last.rung && !fresh)
      return end_track(state, index, false, stall->rule, stall->reason + "; still wrong: " + still);
  }
  return open_lap(state, index, *next, Rule::kNextMove);
}

std::optional<Event> decide_track(const RunState& state, std::size_t index) {
  const Track& track = state.tracks[index];
  if (track.state != TrackState::kOpen || is_waiting(state, track)) return std::nullopt;
  for (const std::size_t other : track.after)
    if (state.tracks[other].state == TrackState::kGaveUp)
      return end_track(
          state, index, false,
          without_verdict(state.tracks[other]) ? Rule::kNotJudged : Rule::kWaitsForAnother,
          fmt::format("it comes after {}, which was given up",
                      state.units[state.tracks[other].units.front()].key));
  if (track.laps.empty() || track.laps.back().closed) return decide_next_lap(state, index);
  for (const CandidateState& candidate : track.laps.back().candidates)
    if (!candidate.made || !pending_judges(state.recipe, candidate).empty()) return std::nullopt;
  return close_lap(state, index);
}

// The whole judges that still have to speak, with the attempt.
std::vector<std::pair<std::size_t, int>> pending_whole(const RunState& state) {
  std::vector<std::pair<std::size_t, int>> pending;
  for (std::size_t i = 0; i < state.recipe.judges.size(); ++i) {
    if (state.recipe.judges[i].scope != Scope::kWhole) continue;
    int attempt = 0;
    bool spoken = false;
    for (const JudgedBy& verdict : state.whole)
      if (verdict.index == i) {
        attempt = verdict.attempt + 1;
        spoken |= verdict.judgement.outcome != Outcome::kError || verdict.attempt >= 1;
      }
    if (!spoken) pending.emplace_back(i, attempt);
  }
  return pending;
}

}  // namespace

std::optional<Event> next_decision(const RunState& state) {
  if (state.ended || state.next_seq < 2) return std::nullopt;
  if (const std::string spent = spent_budget(state); !spent.empty() && state.open_tracks > 0) {
    for (std::size_t i = 0; i < state.tracks.size(); ++i)
      if (const Track& track = state.tracks[i]; track.state == TrackState::kOpen) {
        const bool passed =
            !track.laps.empty() && track.laps.back().closed && track.laps.back().rank.passed;
        return passed ? end_track(state, i, true, Rule::kPassed,
                                  fmt::format("in lap {}", track.laps.size()))
                      : end_track(state, i, false, Rule::kBudget, spent);
      }
  }
  for (const std::size_t index : state.due)
    if (auto next = decide_track(state, index)) return next;
  if (state.open_tracks > 0) return std::nullopt;
  if (!state.tracks.empty() && spent_budget(state).empty() && !pending_whole(state).empty())
    return std::nullopt;
  RunOutcome run = run_outcome(state);
  return RunEnded{run.result, std::move(run.reason), run.passed, run.gave_up};
}

std::vector<CallId> runnable_calls(const RunState& state, std::size_t limit) {
  std::vector<CallId> calls;
  if (state.ended || !spent_budget(state).empty()) return calls;
  for (const std::size_t index : state.active) {
    const LapState& lap = state.tracks[index].laps.back();
    for (const CandidateState& candidate : lap.candidates) {
      if (calls.size() >= limit) return calls;
      if (!candidate.made) calls.push_back(CallId::make(index, lap.number, candidate.n));
      for (const auto& [judge, attempt] : pending_judges(state.recipe, candidate))
        calls.push_back(CallId::judging(index, lap.number, candidate.n, judge, attempt));
    }
  }
  if (state.open_tracks == 0 && !state.tracks.empty())
    for (const auto& [judge, attempt] : pending_whole(state))
      calls.push_back(CallId::whole(judge, attempt));
  return calls;
}

bool was_begun(const RunState& state, const CallId& call) {
  return state.begun.contains(call);
}

}  // namespace lathe::loop
