// The table of a run: its tracks, what was used, how long it will still take.
#include "ground/base/text.h"
#include "show/run/caveats.h"
#include "show/run/run_view.h"

namespace lathe::show {
namespace {

constexpr std::size_t kMostUnitText = 4096;

const loop::CandidateState& shown_candidate(const loop::LapState& lap) {
  return lap.candidates[lap.best < 0 ? 0 : static_cast<std::size_t>(lap.best)];
}

LapScore score_of(const loop::LapState& lap) {
  LapScore score{lap.closed, std::nullopt};
  if (lap.best >= 0) score.score = 10 * weakest_score(shown_candidate(lap));
  return score;
}

void add_rows(const loop::RunState& state, std::size_t most, RunSummary& summary) {
  std::vector<const loop::Track*> shown;
  for (const loop::Track& track : state.tracks) shown.push_back(&track);
  if (shown.size() > most)
    std::erase_if(
        shown, [](const loop::Track* track) { return track->state == loop::TrackState::kPassed; });
  shown.resize(std::min(shown.size(), most));
  summary.hidden = state.tracks.size() - shown.size();
  for (const loop::Track* track : shown) summary.rows.push_back(track_row(state, *track));
}

SpentRow spent_of(const loop::RunState& state, const loop::BudgetKind& kind) {
  const auto& limits = state.recipe.stop.budgets;
  const auto limit = limits.find(kind.option.name);
  return {std::string(kind.option.name),
          kind.by_calls,
          kind.spent(state),
          limit == limits.end() ? std::nullopt : std::optional(limit->second),
          kind.brief(state),
          kind.account ? kind.account(state) : ""};
}

std::string climate_of(const loop::RunState& state) {
  std::vector<std::string> parts;
  for (const auto& [span, unit] : {std::pair(state.celsius, "°C"), {state.watts, "W"}})
    if (span.low) parts.push_back(fmt::format("{:.0f} to {:.0f} {}", *span.low, *span.high, unit));
  return join(parts, ", ");
}

// As long as what is done has taken, as far as the budget goes.
void add_time_left(const loop::RunState& state, RunSummary& summary) {
  const auto done = static_cast<std::int64_t>(state.tracks.size() - state.open_tracks);
  summary.left_ms = std::max<std::int64_t>(0, state.recipe.stop.time_ms() - state.t_ms);
  summary.left_is_estimate = done > 0;
  if (done > 0)
    summary.left_ms =
        std::min(summary.left_ms, state.t_ms * static_cast<std::int64_t>(state.open_tracks) / done);
}

}  // namespace

TrackRow track_row(const loop::RunState& state, const loop::Track& track) {
  TrackRow row;
  const auto units = units_of(state, track);
  const std::vector<bool> passed = units_passed(state, track);
  for (std::size_t i = 0; i < units.size(); ++i) row.units.push_back({units[i].key, passed[i]});
  row.text = clip_utf8(units.front().text, kMostUnitText);
  row.state = track.state;
  row.unjudged = without_verdict(track);
  row.why = track.why;
  row.caveats = caveats_of(track);
  row.fault = last_fault(track);
  for (const loop::LapState& lap : track.laps) row.laps.push_back(score_of(lap));
  return row;
}

RunSummary summary_of(const loop::RunState& state, std::size_t most_rows) {
  RunSummary summary;
  summary.ended = state.ended;
  summary.outcome = state.ended ? result_text(state.end_state) : "not ended";
  summary.why = state.end_why;
  summary.units = state.units.size();
  for (const loop::Track& track : state.tracks) {
    summary.laps += track.laps.size();
    summary.units_passed +=
        static_cast<std::size_t>(std::ranges::count(units_passed(state, track), true));
  }
  add_rows(state, most_rows, summary);
  for (const loop::JudgedBy& verdict : state.whole)
    summary.whole.push_back(
        {verdict.judge, verdict.judgement.outcome, 10 * verdict.judgement.score});
  for (const loop::BudgetKind& kind : loop::budget_kinds())
    summary.spent.push_back(spent_of(state, kind));
  for (const auto& [call, asked] : state.consents)
    summary.waits.push_back(fmt::format("{} waits for consent {} ({})", call_words(state, call),
                                        asked.consent, asked.about));
  for (const loop::CameTooLate& late : state.late) summary.late.push_back(late_words(state, late));
  summary.climate = climate_of(state);
  add_time_left(state, summary);
  return summary;
}

std::string last_fault(const loop::Track& track) {
  for (auto lap = track.laps.rbegin(); lap != track.laps.rend(); ++lap) {
    if (!lap->closed) continue;
    const auto critiques = critiques_of(shown_candidate(*lap));
    if (critiques.empty()) return {};
    const loop::Critique& first = critiques.front();
    return first.locus.empty() ? first.claim : first.locus + ": " + first.claim;
  }
  return {};
}

std::string track_name(const loop::RunState& state, const loop::Track& track) {
  const std::string& first = state.units[track.units.front()].key;
  return track.units.size() == 1 ? first
                                 : fmt::format("{} (+{} more)", first, track.units.size() - 1);
}

std::string late_words(const loop::RunState& state, const loop::CameTooLate& late) {
  return fmt::format(
      "node {} came too late with {}: another had it, and what it made was thrown away", late.node,
      call_words(state, late.within));
}

std::string call_words(const loop::RunState& state, const loop::CallId& call) {
  const auto name = [&] { return track_name(state, state.tracks[call.track]); };
  if (call.kind == loop::CallId::Kind::kMake) return "making " + name();
  return fmt::format("judging {}: {}",
                     call.kind == loop::CallId::Kind::kWhole ? "the whole" : name(),
                     state.recipe.judges[call.judge].name);
}

}  // namespace lathe::show
