// What training reads: prompts and what should follow them.
#pragma once

#include "app/starter/tasks.h"

namespace lathe::app {

struct Drill {
  std::string prompt, completion;
};
Json to_json(const Drill& drill);

// Of a task with a right answer. `repairs`: per cent of tasks that begin with broken code.
Drill draw_drill(Random& random, std::span<const int> depths, int repairs);

}  // namespace lathe::app
