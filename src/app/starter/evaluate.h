// The frozen evaluation: tasks that training never sees, played with feedback and, as a control,
// by independent samples; what is reported is the hidden tests.
#pragma once

#include "app/starter/play.h"

namespace lathe::app {

struct TaskGroup {
  std::string name;
  std::vector<DrawnTask> tasks;
};
inline constexpr std::uint64_t kFrozenSeed = 20261121;
// The same tasks for ever. `count` of each group. Another seed gives tasks to try things out on.
std::vector<TaskGroup> frozen_tasks(std::size_t count, std::uint64_t seed = kFrozenSeed);
// Of everything in them: a test holds it, so that figures stay comparable.
std::string digest_of(std::span<const TaskGroup> groups);

struct EvaluateOptions {
  fs::path model;
  std::size_t count = 200;  // tasks of a group
  int laps = 6;
  int best_of = 4;   // candidates of a lap with feedback, but the first
  int samples = 32;  // of the control
  int seeds = 3;
  std::uint64_t tasks_seed = kFrozenSeed;
  std::optional<double> temperature = {};  // of all laps but the first; absent: the maker's own
  int threads = 2;
  std::size_t at_once = 16;
};
// The table, as it is printed.
Result<std::string> evaluate(const EvaluateOptions& options);

}  // namespace lathe::app
