// Puts together what a maker is asked: the lap's move, the best candidate and what is wrong with
// it.
#include "loop/conductor/make_task.h"

#include "loop/conductor/feedback.h"
#include "loop/terms/passage.h"

namespace lathe::loop {

const CandidateState* built_on(const Track& track, const LapState& lap) {
  return lap.move == Move::kResample ? nullptr : best_candidate(track);
}

MakeTask make_task(const RunState& state, const Track& track, const LapState& lap, int n,
                   std::string prefix, std::optional<std::string> best, std::string remembered) {
  const Recipe& recipe = state.recipe;
  MakeTask task{recipe.make_options, units_of(state, track)};
  task.move = lap.move;
  task.lap = lap.number;
  task.n_index = n;
  const auto ladder = ladder_of(state, track);
  if (const auto rung = static_cast<std::size_t>(lap.rung); rung < ladder.size())
    task.rung = ladder[rung];
  task.setting = lap.setting;
  task.prefix = std::move(prefix);
  const CandidateState* base = built_on(track, lap);
  if (base && best) {
    task.critiques = critiques_of(*base);
    task.best = std::move(best);
  }
  const bool shown = base && is_text_media(base->media_type);
  task.tail = std::move(remembered) + passages_text(task.units) +
              feedback_tail(track, lap, shown ? task.best : std::nullopt);
  return task;
}

}  // namespace lathe::loop
