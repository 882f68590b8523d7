// Tasks for the starter model, drawn from a seed: a function, its asserts, its description and, for
// a repair, a broken body that fails a visible assert. What a task is for is decided by its
// behaviour and by its pairs of idioms, never by chance: no behaviour and no pair that is measured
// is ever trained. Pure; each Random belongs to one thread.
#pragma once

#include "app/starter/sketch.h"
#include "loop/mini/task.h"

namespace lathe::app {

enum class Split {
  kTrain,   // behaviours and pairs that training may see
  kUnseen,  // behaviours held out, of pairs that training may see
  kPairs,   // with a pair of idioms that training never sees
};

struct DrawnTask {
  loop::MiniTask task;  // its body is "" or broken
  std::string gold;     // a right body
  int depth = 0;
  std::uint64_t behaviour = 0;  // equal for functions that do the same
  bool vague = false;           // the description leaves something out
};

// Of a function's results on 64 fixed inputs; nothing for functions that say nothing: constant,
// the argument itself, or not defined everywhere.
std::optional<std::uint64_t> behaviour_of(const Sketch& sketch);

// Draws until a task fits. `depth`: 1 to 4 idioms; a pair takes two. `repair`: with a broken body.
DrawnTask draw_task(Random& random, Split split, int depth, bool repair);

// One of a dozen slips in one line, or in two; nothing when the slip drawn has no place in it.
std::optional<std::string> slip(std::string_view body, Random& random);

}  // namespace lathe::app
