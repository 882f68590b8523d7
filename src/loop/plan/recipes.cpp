// What a plan says of a task, in the words of recipes.
#include "loop/plan/recipes.h"

#include <algorithm>

#include "loop/makers/code_reply.h"

namespace lathe::loop {
namespace {

constexpr std::string_view kCodeSystem =
    "You write source code. Do what is wanted below with the smallest change that is right in "
    "general. Do not special-case the tests.";
constexpr std::string_view kAgentSystem =
    "You work on a project by calling tools. Do what is wanted below, and run what shows that it "
    "is done. Do not special-case the tests. When you are done, say so in one sentence without "
    "calling a tool.";

bool has_option(const MakerKind& maker, std::string_view key) {
  return std::ranges::any_of(maker.options,
                             [&](const OptionSpec& spec) { return spec.name == key; });
}

// [[judge]] of a recipe.
Json judges_of(const Plan& plan, const std::vector<std::string>& refs) {
  Json judges = Json::array();
  for (const std::string& ref : refs) judges.push_back(plan.judges.at(ref).table);
  return judges;
}

Json make_of(const Plan& plan, const PlanTask& task, std::span<const std::string> ladder) {
  Json make = task.make;
  const auto unless_given = [&](const char* key, Json value) {
    if (has_option(*task.maker, key) && !make.contains(key)) make[key] = std::move(value);
  };
  make["kind"] = task.maker->name;
  if (task.maker->needs_worker) make["ladder"] = std::vector(ladder.begin(), ladder.end());
  unless_given("task", fmt::format("Do what is wanted below. It is a part of this, whose other "
                                   "parts others make: {}",
                                   plan.goal));
  if (!task.changes_tree()) return make;
  unless_given("system", task.maker->name == "agent" ? kAgentSystem : kCodeSystem);
  make["may_write"] = task.writes;
  make["protect"] = plan.protect;
  std::vector<std::string> context = task.writes;
  context.insert(context.end(), task.reads.begin(), task.reads.end());
  unless_given("context", context);
  return make;
}

}  // namespace

Result<Recipe> task_recipe(const Plan& plan, std::size_t task, std::span<const std::string> ladder,
                           const std::string& name) {
  const PlanTask& of = plan.tasks[task];
  Json unit = {{"from", "the plan"}, {"split", "file"}};
  if (of.changes_tree()) unit["tree"] = ".";
  return recipe_from_json({{"recipe", "task-" + of.id},
                           {"version", 1},
                           {"description", "a task of a plan"},
                           {"privacy", reach_name(of.label)},
                           {"unit", std::move(unit)},
                           {"make", make_of(plan, of, ladder)},
                           {"judge", judges_of(plan, of.judges)},
                           {"stop", plan.stop}},
                          name);
}

Result<Recipe> merge_recipe(const Plan& plan, const PlanRules& rules, const std::string& name) {
  Json judges = judges_of(plan, plan.whole);
  // No candidate may change these: the judges of tests restore them.
  for (Json& judge : judges)
    if (judge["kind"] == "tests" && !judge.contains("protect")) judge["protect"] = plan.protect;
  return recipe_from_json({{"recipe", "merge"},
                           {"version", 1},
                           {"description", "what all tasks of a plan made together"},
                           {"privacy", reach_name(strictest_label(plan, rules))},
                           {"collect", "all"},
                           {"unit", {{"from", "the plan"}, {"split", "file"}, {"tree", "."}}},
                           {"make", {{"kind", "given"}}},
                           {"judge", std::move(judges)},
                           {"stop", {{"laps", 1}}}},
                          name);
}

Reach strictest_label(const Plan& plan, const PlanRules& rules) {
  Reach label = rules.unnamed;
  for (const PlanInput& input : plan.inputs) label = std::min(label, input.label);
  return label;
}

Unit task_unit(const Plan& plan, std::size_t task, std::span<const ShownFile> files,
               const std::string& sent_back) {
  const PlanTask& of = plan.tasks[task];
  std::string text = of.instruction;
  for (const ShownFile& file : files)
    text += fmt::format("\n\n{}:\n{}", file.path, fenced(file.text));
  if (!sent_back.empty())
    text +=
        fmt::format("\n\nWhat all parts are together does not pass yet. Of yours:\n{}", sent_back);
  return {of.id, std::move(text), {{"wanted", true}}};
}

}  // namespace lathe::loop
