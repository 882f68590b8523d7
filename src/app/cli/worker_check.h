// What is found out about a recipe's workers before any work is done.
#pragma once

#include "app/cli/workers.h"
#include "loop/conductor/conductor.h"

namespace lathe::app {

// Every worker that the recipe cannot do without is known and is not known to be blind to what it
// is shown, and every --worker is asked for.
Status check_worker_names(const App& app, const loop::Recipe& recipe, const WorkerFlags& flags,
                          const loop::Bench& bench);
// They answer: one rung of the ladder at least, and every judge that counts. Costs no call.
Status check_workers_answer(const loop::Recipe& recipe, const loop::Bench& bench);
// One line for each judge that advises and has nobody to ask, or nobody who sees.
std::vector<std::string> silent_advisers(const loop::Recipe& recipe, const loop::Bench& bench);

}  // namespace lathe::app
