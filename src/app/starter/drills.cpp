// Prompts and what should follow them: what training reads.
#include "app/starter/drills.h"

namespace lathe::app {

Json to_json(const Drill& drill) {
  return {{"prompt", drill.prompt}, {"completion", drill.completion}};
}

Drill draw_drill(Random& random, std::span<const int> depths, int repairs) {
  const bool repair = random.chance(repairs);
  const DrawnTask drawn = draw_task(random, Split::kTrain, random.pick(depths), repair);
  const loop::MiniTask& task = drawn.task;
  const auto answer = loop::mini_answer(task.body, drawn.gold);
  LATHE_CHECK(answer.has_value());
  return {loop::mini_prompt(task, task.body, loop::run_mini_tests(task, task.body, task.tests)),
          *answer};
}

}  // namespace lathe::app
