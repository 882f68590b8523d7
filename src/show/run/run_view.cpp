// All there is to say of a run, out of its state and its entries.
#include "show/run/run_view.h"

#include "ground/media/picture.h"
#include "show/run/caveats.h"

namespace lathe::show {
namespace {

VerdictView verdict_view(const loop::RunState& state, const loop::JudgedBy& verdict) {
  const loop::JudgeSpec& judge = state.recipe.judges[verdict.index];
  const loop::Judgement& judgement = verdict.judgement;
  VerdictView view{
      verdict.judge,       judge.stage, judgement.outcome, 10 * judgement.score, 10 * judgement.bar,
      judgement.critiques, {},          judgement.evidence};
  if (judge.kind->exhibits) view.exhibits = judge.kind->exhibits(view.evidence);
  return view;
}

CandidateView candidate_view(const loop::RunState& state, const loop::CandidateState& candidate) {
  CandidateView view;
  view.n = candidate.n;
  if (candidate.error) view.error = candidate.error->message;
  view.blob = candidate.blob;
  view.media_type = candidate.media_type;
  view.kind = artifact_kind(candidate.media_type);
  view.facts = candidate.facts;
  for (const loop::JudgedBy* verdict : counted_verdicts(candidate))
    view.verdicts.push_back(verdict_view(state, *verdict));
  return view;
}

std::string move_on_rung(const loop::RunState& state, const loop::Track& track,
                         const loop::LapState& lap) {
  const auto rung = static_cast<std::size_t>(lap.rung);
  const auto ladder = ladder_of(state, track);
  return std::string(move_name(lap.move)) + (rung < ladder.size() ? " · " + ladder[rung] : "");
}

// The same candidate before the same judge: does it say the same?
void count_flips(const loop::Track& track, LoopYield& yield) {
  std::map<std::pair<std::string, std::size_t>, loop::Outcome> seen;
  for (const loop::LapState& lap : track.laps)
    for (const loop::CandidateState& candidate : lap.candidates)
      for (const loop::JudgedBy* verdict : counted_verdicts(candidate)) {
        const loop::Outcome outcome = verdict->judgement.outcome;
        const auto [it, fresh] = seen.try_emplace({candidate.blob, verdict->index}, outcome);
        if (fresh) continue;
        ++yield.judged_again;
        yield.flipped += it->second != outcome;
      }
}

void count_moves(const loop::RunState& state, LoopYield& yield) {
  std::map<std::string, MoveYield> moves;
  for (const loop::Track& track : state.tracks)
    for (const loop::LapState& lap : track.laps) {
      const std::string name = move_on_rung(state, track, lap);
      MoveYield& move = moves.try_emplace(name, MoveYield{name}).first->second;
      ++move.laps;
      move.gained += lap.gained;
      move.passed += lap.rank.passed;
      yield.candidates += lap.candidates.size();
    }
  for (auto& [name, move] : moves) yield.moves.push_back(std::move(move));
}

void count_calls(std::span<const loop::Entry> entries, LoopYield& yield) {
  for (const loop::Entry& entry : entries) {
    if (const auto* made = std::get_if<loop::CandidateMade>(&entry.event)) {
      ++yield.made;
      yield.usable += made->answer.has_value();
      yield.make_ms += made->ms.value_or(0);
    } else if (const auto* verdict = std::get_if<loop::VerdictGiven>(&entry.event)) {
      yield.judge_ms += verdict->ms.value_or(0);
    }
  }
}

// Share of units passed after each lap. One of a group may have passed before its group has: where
// the candidate that the ratchet held then has it.
std::vector<double> curve_of(const loop::RunState& state) {
  std::size_t laps = 1;
  for (const loop::Track& track : state.tracks) laps = std::max(laps, track.laps.size());
  std::vector<double> curve(laps + 1, 0.0);
  for (const loop::Track& track : state.tracks) {
    std::vector<std::size_t> since(track.units.size(), laps + 1);
    const loop::CandidateState* best = nullptr;
    for (std::size_t k = 0; k < track.laps.size(); ++k) {
      const loop::LapState& lap = track.laps[k];
      if (lap.gained) best = &lap.candidates[static_cast<std::size_t>(lap.best)];
      const bool all = lap.closed && lap.rank.passed;
      const auto passing =
          best ? units_passing(state, track, *best) : std::vector<bool>(track.units.size());
      for (std::size_t i = 0; i < since.size(); ++i)
        if (all || passing[i]) since[i] = std::min(since[i], k + 1);
    }
    for (const std::size_t first : since)
      for (std::size_t k = first; k <= laps; ++k)
        curve[k] += 1.0 / static_cast<double>(state.units.size());
  }
  return curve;
}

// The loop's own first candidates, before any judge's word reached the maker.
std::size_t units_in_one_shot(const loop::RunState& state) {
  std::size_t units = 0;
  for (const loop::Track& track : state.tracks)
    if (!track.laps.empty() &&
        outcome_of(state.recipe, track.laps[0].candidates[0]) == loop::Outcome::kPass)
      units += track.units.size();
  return units;
}

}  // namespace

ArtifactKind artifact_kind(std::string_view media_type) {
  if (media_type == kSvgMediaType) return ArtifactKind::kDrawing;
  if (media_type == loop::kChangesMediaType) return ArtifactKind::kChanges;
  if (media_type.starts_with("image/")) return ArtifactKind::kPicture;
  if (media_type.starts_with("audio/")) return ArtifactKind::kSound;
  if (media_type.starts_with("video/")) return ArtifactKind::kFilm;
  if (media_type.starts_with("text/") || media_type == "application/json")
    return ArtifactKind::kText;
  return ArtifactKind::kOther;
}

TrackView track_view(const loop::RunState& state, const loop::Track& track) {
  TrackView view{std::string(rule_text(track.rule)), {}};
  for (const loop::LapState& lap : track.laps) {
    LapView& shown = view.laps.emplace_back(
        LapView{lap.number, lap.move, lap.reason, lap.closed, lap.gained, lap.best, {}});
    for (const loop::CandidateState& candidate : lap.candidates)
      shown.candidates.push_back(candidate_view(state, candidate));
  }
  return view;
}

RunView overview_of(const loop::RunState& state, std::span<const loop::Entry> entries) {
  RunView view;
  view.recipe = state.recipe.name;
  view.title = state.header.title;
  view.build = state.header.build;
  view.created_ms = state.header.created_ms;
  view.t_ms = state.t_ms;
  view.joules = state.joules;
  view.best_of = state.recipe.best_of;
  view.canonical = state.recipe.canonical;
  if (state.header.tree) view.tree = state.header.tree->blob;
  view.summary = summary_of(state, 0);
  view.caveats = run_caveats(state);
  count_moves(state, view.yield);
  for (const loop::Track& track : state.tracks) count_flips(track, view.yield);
  count_calls(entries, view.yield);
  view.yield.one_shot = units_in_one_shot(state);
  view.yield.curve = curve_of(state);
  for (const loop::JudgedBy& verdict : state.whole)
    view.whole.push_back(verdict_view(state, verdict));
  return view;
}

RunView view_of(const loop::RunState& state, std::span<const loop::Entry> entries) {
  RunView view = overview_of(state, entries);
  view.summary = summary_of(state);
  for (const loop::Track& track : state.tracks) view.tracks.push_back(track_view(state, track));
  return view;
}

}  // namespace lathe::show
