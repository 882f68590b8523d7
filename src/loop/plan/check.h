// What must hold of a plan's tasks together. For the reader of plans alone.
#pragma once

#include "loop/plan/plan.h"

namespace lathe::loop {

// Where the tables of the plan stand, for messages.
struct PlanPlaces {
  std::string file;
  TomlLines lines;
  std::unexpected<Error> problem(const std::string& path, std::string_view message) const;
  // "plan.toml:12: task 'csv': …"
  std::unexpected<Error> of_task(const Plan& plan, std::size_t task, std::string_view key,
                                 std::string_view message) const;
};

// Order, deps of what is read, depth, writes, privacy: in this order. `labelled`: the tasks that
// say their own label; the others get the strictest that they may have.
Status check_tasks(Plan& plan, const std::vector<bool>& labelled, const PlanPlaces& places,
                   const PlanRules& rules);

}  // namespace lathe::loop
