// A round of accepted takes: tasks are played, and what passes all their tests becomes something to
// learn from. For hard tasks the judge alone decides; for easy ones, where a right body is at hand,
// it ends what the model could not solve.
#pragma once

#include "app/starter/drills.h"
#include "app/starter/play.h"

namespace lathe::app {

struct TakesOptions {
  fs::path model;
  std::size_t count = 3000;  // tasks
  std::vector<int> depths{3};
  int laps = 6;
  std::uint64_t seed = 1;
  std::optional<double> temperature = {};  // of all laps but the first; absent: the maker's own
  int threads = 2;
  std::size_t at_once = 16;
};

inline constexpr int kGoldDepth = 2;  // tasks with more idioms have no right body to learn from

struct Takes {
  std::vector<Drill> drills;
  std::size_t tasks = 0, accepted = 0, wrong = 0;  // wrong: passed the visible tests alone
};

// Of each task that is solved, or has a right body: its first prompt with the accepted body, and
// each failed take with the answer that leads from it to the accepted body.
Result<Takes> accepted_takes(const TakesOptions& options);

}  // namespace lathe::app
