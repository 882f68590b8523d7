// A run of a grid to its cells.
#include <charconv>

#include "app/cli/grid.h"
#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "loop/conductor/units.h"

namespace lathe::app {
namespace {

constexpr std::size_t kMostWhy = 300;

struct End {
  CellState state = CellState::kMissing;
  std::string why = {};
};

bool is_unusable(const loop::CandidateState& candidate) {
  return candidate.error && candidate.error->kind == ErrorKind::kInvalid;
}

// An answer that could not be used was answered; one that nobody judged says nothing of the model.
End end_of(const loop::Recipe& recipe, const loop::Track& track) {
  if (track.state == loop::TrackState::kOpen) return {};
  const loop::CandidateState* best = loop::best_candidate(track);
  if (best != nullptr) {
    const loop::Outcome outcome = loop::outcome_of(recipe, *best);
    if (outcome == loop::Outcome::kPass) return {CellState::kPassed};
    if (outcome == loop::Outcome::kFail) return {CellState::kFailed};
    return {CellState::kError,
            outcome == loop::Outcome::kAbstain ? "no judge had an opinion" : track.why};
  }
  for (const loop::LapState& lap : track.laps)
    if (std::ranges::any_of(lap.candidates, is_unusable)) return {CellState::kFailed};
  return track.rule == loop::Rule::kBudget ? End{} : End{CellState::kError, track.why};
}

// By the name of what is counted: a judge's outcome, or what it counted in one look.
std::map<std::string, bool> marks_of(const loop::Track& track) {
  std::map<std::string, bool> marks;
  const loop::CandidateState* best = loop::best_candidate(track);
  if (best == nullptr) return marks;
  for (const loop::JudgedBy* verdict : loop::counted_verdicts(*best)) {
    const loop::Outcome outcome = verdict->judgement.outcome;
    if (outcome != loop::Outcome::kPass && outcome != loop::Outcome::kFail) continue;
    const Json& own = json_at(verdict->judgement.evidence, loop::kMarks);
    if (!own.is_object()) marks[verdict->judge] = outcome == loop::Outcome::kPass;
    for (const auto& [name, pass] : own.items())
      if (pass.is_boolean()) marks[name] = pass.get<bool>();
  }
  return marks;
}

// "make:3:1:0:0:0" is the maker's for track 3.
std::optional<std::size_t> track_made_by(std::string_view call) {
  constexpr std::string_view kMake = "make:";
  if (!call.starts_with(kMake)) return {};
  call.remove_prefix(kMake.size());
  std::size_t track = 0;
  const auto [end, error] = std::from_chars(call.data(), call.data() + call.size(), track);
  return error == std::errc() ? std::optional(track) : std::nullopt;
}

void add_cost(const books::LedgerRow& row, bool paid, GridModel& model, Cell& cell) {
  cell.make_us += row.wall_us;
  const bool lost = paid && row.finish == books::kLost;
  const bool other =
      row.cash.nano && !model.currency.empty() && model.currency != row.cash.currency;
  if (row.cash.source == books::kUnpriced || lost || other) {
    ++cell.unpriced;
  } else if (row.cash.nano) {
    model.currency = row.cash.currency;
    cell.nano = cell.nano.value_or(0) + *row.cash.nano;
  }
}

// Models, prompts and seeds, as the recipe and the units have them; no cell has an end.
Result<Grid> plan_of(const loop::RunState& state) {
  const loop::Recipe& recipe = state.recipe;
  Grid grid;
  grid.seeds = static_cast<std::size_t>(recipe.seeds);
  const std::size_t each = recipe.ladder.size() * grid.seeds;
  if (each == 0 || state.units.size() % each != 0 || state.tracks.size() != state.units.size())
    return invalid("this run is no grid: its recipe has no [unit] seeds");
  for (const std::string& name : recipe.ladder) {
    const auto known = std::ranges::find(state.header.workers, name, &loop::RunBegun::Worker::name);
    GridModel& model = grid.models.emplace_back(GridModel{.name = name, .model = {}, .where = {}});
    if (known == state.header.workers.end()) continue;
    model.model = known->model;
    model.where = known->where;
  }
  for (std::size_t i = 0; i < state.units.size(); i += each) {
    const loop::Unit& unit = state.units[i];
    grid.prompts.push_back(
        {json_string(unit.data, "of"), json_string(unit.data, "group"), sha256_hex(unit.text)});
  }
  for (std::size_t i = 0; i < state.units.size(); ++i) {
    const std::string key = loop::cell_key(grid.prompts[i / each].key,
                                           recipe.ladder[i / grid.seeds % recipe.ladder.size()],
                                           static_cast<std::int64_t>(i % grid.seeds) + 1);
    if (state.units[i].key != key)
      return invalid("unit {} of this run is '{}', where the cell '{}' comes", i + 1,
                     clip_utf8(state.units[i].key, 100), clip_utf8(key, 100));
  }
  grid.cells.resize(state.units.size());
  return grid;
}

}  // namespace

Result<Grid> grid_of(const loop::RunState& state, std::span<const books::LedgerRow> rows) {
  LATHE_TRY(Grid grid, plan_of(state));
  for (std::size_t i = 0; i < grid.cells.size(); ++i) {
    End end = end_of(state.recipe, state.tracks[i]);
    grid.cells[i].state = end.state;
    grid.cells[i].why = clip_utf8(make_valid_utf8(end.why), kMostWhy);
    grid.cells[i].marks = marks_of(state.tracks[i]);
  }
  for (const books::LedgerRow& row : rows) {
    const auto track = track_made_by(row.call);
    if (!track || *track >= grid.cells.size()) continue;
    const std::size_t model = *track / grid.seeds % grid.models.size();
    const auto known = std::ranges::find(state.header.workers, grid.models[model].name,
                                         &loop::RunBegun::Worker::name);
    const bool paid =
        known != state.header.workers.end() && known->reach == reach_name(Reach::kAny);
    add_cost(row, paid, grid.models[model], grid.cells[*track]);
  }
  return grid;
}

}  // namespace lathe::app
