// What training reads: prompts and what should follow them.
#pragma once

#include "app/starter/tasks.h"

namespace lathe {

struct Example {
  std::string prompt, completion;
};
Json to_json(const Example& example);

// Of a task with a right answer. `repairs`: per cent of tasks that begin with broken code.
Example draw_example(Random& random, std::span<const int> depths, int repairs);

}  // namespace lathe
