// Plans as the command line reads and shows them.
#pragma once

#include "app/cli/app.h"
#include "loop/plan/history.h"
#include "loop/plan/plan.h"
#include "loop/plan/progress.h"

namespace lathe::app {

// Files that no input of a plan names: "lan" where the tree lies in a repository, else "local".
loop::PlanRules plan_rules(const fs::path& tree);
// Refused, too: writes through links of the tree.
Result<loop::Plan> read_plan(const fs::path& file, const fs::path& tree);

// The tasks in their order, what was added, and what it will probably take.
void print_tasks(const loop::Plan& plan, const loop::PlanForecast& forecast);
// How far a part is: "state", "round", "run", "why".
Json part_json(const loop::PartStand& part);
Json plan_json(const loop::Plan& plan, const loop::PlanForecast& forecast);

}  // namespace lathe::app
