// A plan's tasks and its merge as recipes: each is a run as any other. Pure.
#pragma once

#include "loop/plan/plan.h"

namespace lathe::loop {

// The recipe of a task's run; `ladder`: who is asked, the first one first. `name`: for messages.
Result<Recipe> task_recipe(const Plan& plan, std::size_t task, std::span<const std::string> ladder,
                           const std::string& name);
// That of the run in which the whole judges look at what all tasks made together.
Result<Recipe> merge_recipe(const Plan& plan, const PlanRules& rules, const std::string& name);

// The label of all that is in the tree: the strictest.
Reach strictest_label(const Plan& plan, const PlanRules& rules);

// Files of the tree as a task's text shows them, where its maker does not look for itself.
struct ShownFile {
  std::string path, text;
};
// What is wanted of a task: its instruction, the files, and what came back from the merge.
Unit task_unit(const Plan& plan, std::size_t task, std::span<const ShownFile> files,
               const std::string& sent_back);

}  // namespace lathe::loop
