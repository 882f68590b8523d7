// The moves of makers that ask a model.
#include <algorithm>

#include "loop/makers/maker.h"

namespace lathe::loop {
namespace {

constexpr int kLapsWithoutGain = 2;

// The critiques that a repair would work on: of the best candidate so far.
const Attempt* best_attempt(std::span<const Attempt> attempts) {
  for (auto it = attempts.rbegin(); it != attempts.rend(); ++it)
    if (it->gained) return &*it;
  return nullptr;
}

// Repairs look at what is there; fresh samples have to differ from each other.
Json setting(Move move) {
  return {{"temperature", move == Move::kResample ? 0.8 : 0.2}};
}

}  // namespace

std::optional<Proposal> propose_by_model(const ProposeTask& task) {
  if (task.attempts.empty())
    return Proposal{Move::kSample, 0, 1, setting(Move::kSample), "first sample"};
  const Attempt& last = task.attempts.back();
  const auto on_this_rung = [&](const Attempt& attempt) { return attempt.rung == last.rung; };
  int without_gain = 0, repairs = 0;
  for (auto it = task.attempts.rbegin(); it != task.attempts.rend(); ++it, ++without_gain)
    if (!on_this_rung(*it) || it->gained) break;
  for (auto it = task.attempts.rbegin(); it != task.attempts.rend(); ++it, ++repairs)
    if (!on_this_rung(*it) || it->move != Move::kRepair) break;

  const bool stuck = without_gain >= kLapsWithoutGain;
  if (stuck && last.move == Move::kResample &&
      last.rung + 1 < static_cast<int>(task.ladder.size())) {
    return Proposal{
        Move::kEscalate, last.rung + 1, 1, setting(Move::kEscalate),
        fmt::format("{} laps without gain, a fresh start among them: ask {}", without_gain,
                    task.ladder[static_cast<std::size_t>(last.rung) + 1])};
  }
  const Attempt* best = best_attempt(task.attempts);
  if (!stuck && best) {
    const auto located =
        std::ranges::find_if(best->critiques, [](const Critique& c) { return !c.locus.empty(); });
    const bool has_locus = located != best->critiques.end();
    // Without a place to look at, more than one repair seldom helps.
    const int allowed = has_locus ? task.repairs : std::min(task.repairs, 1);
    if (repairs < allowed && !best->critiques.empty())
      return Proposal{Move::kRepair, last.rung, 1, setting(Move::kRepair),
                      has_locus ? fmt::format("repair at {}: {}", located->locus, located->claim)
                                : "repair: " + best->critiques.front().claim};
  }
  return Proposal{Move::kResample, last.rung, task.best_of, setting(Move::kResample),
                  stuck  ? fmt::format("{} laps without gain: a fresh start", without_gain)
                  : best ? "repairs are used up: fresh samples"
                         : "nothing usable yet: fresh samples"};
}

}  // namespace lathe::loop
