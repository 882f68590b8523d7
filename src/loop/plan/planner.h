// A plan that a model writes: what it is asked, and the plan as a person's file. A model's plan is
// a proposal: it goes through the same checks as anybody's.
#pragma once

#include "loop/plan/plan.h"

namespace lathe::loop {

// What the planner is held to while it writes. Of the checks it holds those that a schema can say.
Json plan_schema();

struct PlannerTask {
  std::string text;                // what is wanted
  std::vector<std::string> files;  // of the tree
  std::string tests;               // the command that tests the project; "": not known
};
// `refused`: the draft before and what is wrong with it; "": there was none.
Request planner_request(const PlannerTask& task, const std::string& draft,
                        const std::string& refused);

// The plan's canonical form as a TOML file, for people to read and to change.
std::string plan_toml(const Json& canonical);

}  // namespace lathe::loop
