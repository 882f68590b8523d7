// What verdicts add up to: of a stage, a candidate, a unit, a track and the run. Pure, and the only
// place that says so: the decisions, the exit code, the table, the report, what is written into a
// source tree and what is learnt from all read it here.
#include <algorithm>

#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "loop/conductor/state.h"

namespace lathe::loop {
namespace {

constexpr Stage kStages[] = {Stage::kGate, Stage::kMeasure, Stage::kRubric, Stage::kHuman};

struct Tally {
  int passed = 0, failed = 0, errors = 0, pending = 0;
  bool vetoed = false;
  double score = 0, weight = 0;  // of the judges that answered
};

Tally tally_stage(const Recipe& recipe, Stage stage, const CandidateState& candidate) {
  Tally tally;
  const auto verdicts = counted_verdicts(candidate);
  for (std::size_t i = 0; i < recipe.judges.size(); ++i) {
    const JudgeSpec& judge = recipe.judges[i];
    if (judge.scope != Scope::kUnit || judge.stage != stage) continue;
    const auto found = std::ranges::find(verdicts, i, &JudgedBy::index);
    if (found == verdicts.end()) {
      ++tally.pending;
      continue;
    }
    const Judgement& judgement = (*found)->judgement;
    switch (judgement.outcome) {
      case Outcome::kError:
        // Asked once more before it counts.
        ++((*found)->attempt == 0 ? tally.pending : tally.errors);
        continue;
      case Outcome::kAbstain:
        continue;
      case Outcome::kPass:
        ++tally.passed;
        break;
      case Outcome::kFail:
        ++tally.failed;
        tally.vetoed |= judge.veto;
        break;
    }
    tally.score += judge.weight * judgement.score;
    tally.weight += judge.weight;
  }
  return tally;
}

// One stage's outcome. kAbstain: none of its judges has an opinion.
Outcome stage_outcome(const Recipe& recipe, Stage stage, const Tally& tally) {
  const auto rule = recipe.combine.find(stage);
  const Combine combine = rule == recipe.combine.end() ? Combine{} : rule->second;
  if (tally.vetoed) return Outcome::kFail;
  if (tally.pending > 0) return Outcome::kError;  // what has not been heard is no pass
  if (tally.passed + tally.failed + tally.errors == 0) return Outcome::kAbstain;
  switch (combine.how) {
    case Combine::How::kAll:
      return tally.failed ? Outcome::kFail : tally.errors ? Outcome::kError : Outcome::kPass;
    case Combine::How::kAny:
      return tally.passed ? Outcome::kPass : tally.errors ? Outcome::kError : Outcome::kFail;
    case Combine::How::kAtLeast:
      if (tally.passed >= combine.at_least) return Outcome::kPass;
      return tally.passed + tally.errors >= combine.at_least ? Outcome::kError : Outcome::kFail;
    case Combine::How::kWeighted:
      if (tally.errors) return Outcome::kError;
      return tally.weight > 0 && tally.score / tally.weight >= combine.bar ? Outcome::kPass
                                                                           : Outcome::kFail;
  }
  return Outcome::kError;
}

}  // namespace

std::vector<std::pair<std::size_t, int>> pending_judges(const Recipe& recipe,
                                                        const CandidateState& candidate) {
  std::vector<std::pair<std::size_t, int>> pending;
  if (!candidate.made || candidate.error) return pending;
  const auto verdicts = counted_verdicts(candidate);
  for (const Stage stage : kStages) {
    const Tally tally = tally_stage(recipe, stage, candidate);
    if (tally.pending > 0) {
      for (std::size_t i = 0; i < recipe.judges.size(); ++i) {
        if (recipe.judges[i].scope != Scope::kUnit || recipe.judges[i].stage != stage) continue;
        const auto found = std::ranges::find(verdicts, i, &JudgedBy::index);
        if (found == verdicts.end())
          pending.emplace_back(i, 0);
        else if ((*found)->judgement.outcome == Outcome::kError && (*found)->attempt == 0)
          pending.emplace_back(i, 1);
      }
      return pending;
    }
    const Outcome outcome = stage_outcome(recipe, stage, tally);
    if (!recipe.collect_all && (outcome == Outcome::kFail || outcome == Outcome::kError))
      return pending;
  }
  return pending;
}

Outcome outcome_of(const Recipe& recipe, const CandidateState& candidate) {
  if (!candidate.made || candidate.error) return Outcome::kFail;
  Outcome sum = Outcome::kAbstain;
  for (const Stage stage : kStages) {
    const Tally tally = tally_stage(recipe, stage, candidate);
    const Outcome outcome = stage_outcome(recipe, stage, tally);
    if (outcome == Outcome::kFail) return Outcome::kFail;
    if (outcome == Outcome::kError) sum = Outcome::kError;
    if (outcome == Outcome::kPass && sum == Outcome::kAbstain) sum = Outcome::kPass;
  }
  return sum;
}

Rank rank_of(const RunState& state, const Track& track, const CandidateState& candidate) {
  Rank rank;
  rank.passed = outcome_of(state.recipe, candidate) == Outcome::kPass;
  const auto verdicts = counted_verdicts(candidate);
  double score = 0, weight = 0;
  for (std::size_t i = 0; i < state.recipe.judges.size(); ++i) {
    const JudgeSpec& judge = state.recipe.judges[i];
    if (judge.scope != Scope::kUnit) continue;
    const auto found = std::ranges::find(verdicts, i, &JudgedBy::index);
    const Judgement* judgement = found == verdicts.end() ? nullptr : &(*found)->judgement;
    if (judgement && judgement->outcome == Outcome::kAbstain) continue;
    // A judge that could not judge, or was not reached because an earlier stage failed, counts 0:
    // else a candidate that nobody can look at would beat one with a small fault.
    weight += judge.weight;
    if (!judgement || judgement->outcome == Outcome::kError) continue;
    score += judge.weight * judgement->score;
    if (judge.stage == Stage::kGate && judgement->outcome == Outcome::kPass) ++rank.gates;
    for (const UnitOutcome& unit : judgement->units)
      if (unit.outcome == Outcome::kPass && std::ranges::any_of(track.units, [&](std::size_t u) {
            return state.units[u].key == unit.unit;
          }))
        ++rank.units;
  }
  rank.score = weight > 0 ? score / weight : 0;
  return rank;
}

bool better(const Rank& a, const Rank& b) {
  constexpr double kSameScore = 1e-6;
  if (a.passed != b.passed) return a.passed;
  if (a.gates != b.gates) return a.gates > b.gates;
  if (a.units != b.units) return a.units > b.units;
  return a.score > b.score + kSameScore;
}

double weakest_score(const CandidateState& candidate) {
  double score = 1;
  bool judged = false;
  for (const JudgedBy* verdict : counted_verdicts(candidate)) {
    const Outcome outcome = verdict->judgement.outcome;
    if (outcome == Outcome::kAbstain) continue;
    judged = true;
    score = std::min(score, outcome == Outcome::kError ? 0 : verdict->judgement.score);
  }
  return judged ? score : 0;
}

std::vector<bool> units_passing(const RunState& state, const Track& track,
                                const CandidateState& candidate) {
  std::vector<bool> passing(track.units.size(), false);
  if (track.units.size() < 2) return passing;
  std::map<std::string_view, bool> named;
  for (const JudgedBy* verdict : counted_verdicts(candidate))
    for (const UnitOutcome& unit : verdict->judgement.units) {
      const auto [it, fresh] = named.try_emplace(unit.unit, true);
      it->second &= unit.outcome == Outcome::kPass;
    }
  const auto units = units_of(state, track);
  for (std::size_t i = 0; i < units.size(); ++i)
    if (const auto found = named.find(units[i].key); found != named.end())
      passing[i] = found->second;
  return passing;
}

std::vector<bool> units_passed(const RunState& state, const Track& track) {
  if (track.state == TrackState::kPassed) return std::vector<bool>(track.units.size(), true);
  if (const CandidateState* best = best_candidate(track)) return units_passing(state, track, *best);
  return std::vector<bool>(track.units.size(), false);
}

// Units that ended without anybody's verdict about the work: nobody could make it, or nobody could
// judge it. Another try may end otherwise, and `lathe resume` makes it.
bool without_verdict(const Track& track) {
  return track.state == TrackState::kGaveUp &&
         (track.rule == Rule::kNotJudged || track.rule == Rule::kRungUnavailable);
}

bool candidate_passed(const Recipe& recipe, const Track& track) {
  const CandidateState* best = best_candidate(track);
  return best && outcome_of(recipe, *best) == Outcome::kPass;
}

namespace {

// Whether anything that was made has been looked at: judged, or read and found unusable.
bool was_looked_at(const CandidateState& candidate) {
  if (candidate.error) return candidate.error->kind == ErrorKind::kInvalid;
  return std::ranges::any_of(candidate.verdicts, [](const JudgedBy& verdict) {
    const Outcome outcome = verdict.judgement.outcome;
    return outcome == Outcome::kPass || outcome == Outcome::kFail;
  });
}

bool anything_looked_at(const RunState& state) {
  for (const Track& track : state.tracks)
    for (const LapState& lap : track.laps)
      if (std::ranges::any_of(lap.candidates, was_looked_at)) return true;
  return false;
}

// What the whole judges make of it.
void judge_whole(const RunState& state, RunOutcome& run) {
  for (std::size_t i = 0; i < state.recipe.judges.size(); ++i) {
    if (state.recipe.judges[i].scope != Scope::kWhole) continue;
    const JudgedBy* last = nullptr;
    for (const JudgedBy& verdict : state.whole)
      if (verdict.index == i) last = &verdict;
    const std::string& name = state.recipe.judges[i].name;
    if (!last || last->judgement.outcome == Outcome::kError) {
      const std::string spent = spent_budget(state);
      run.result = RunResult::kNotJudged;
      run.reason += fmt::format("; the whole was not judged by '{}'{}{}", name,
                                spent.empty() ? "" : ": ", spent);
    } else if (last->judgement.outcome == Outcome::kFail) {
      if (run.result == RunResult::kPassed) run.result = RunResult::kFailed;
      run.reason += fmt::format("; the whole fails '{}'", name);
    }
  }
}

}  // namespace

RunOutcome run_outcome(const RunState& state) {
  RunOutcome run;
  if (state.tracks.empty())
    return {RunResult::kPassed, "there was nothing to do: no test fails", 0, 0};
  bool accepted = true, not_judged = false;
  const Track* refused = nullptr;  // every unit of it passes, and it does not
  for (const Track& track : state.tracks) {
    const bool passed = track.state == TrackState::kPassed && candidate_passed(state.recipe, track);
    const auto units =
        static_cast<std::size_t>(std::ranges::count(units_passed(state, track), true));
    run.passed += units;
    run.gave_up += track.units.size() - units;
    accepted &= passed;
    not_judged |= without_verdict(track);
    if (!passed && units == track.units.size()) refused = &track;
  }
  const std::string all = counted(run.passed + run.gave_up, "unit");
  run.reason = accepted ? fmt::format("all {} passed", all)
                        : fmt::format("{} of {} passed", run.passed, all);
  run.result = accepted                            ? RunResult::kPassed
               : run.passed > 0 && run.gave_up > 0 ? RunResult::kPartial
                                                   : RunResult::kFailed;
  if (refused) run.reason += ", but what was made does not: " + clip_utf8(refused->why, 300);
  if (not_judged || !anything_looked_at(state)) {
    run.result = RunResult::kNotJudged;
    for (const Track& track : state.tracks)
      if (without_verdict(track)) {
        run.reason += "; " + clip_utf8(track.why, 300);
        break;
      }
  }
  judge_whole(state, run);
  return run;
}

}  // namespace lathe::loop
