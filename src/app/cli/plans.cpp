// Reads plans for commands, and prints them.
#include "app/cli/plans.h"

#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "loop/plan/globs.h"

namespace lathe::app {
namespace {

constexpr std::uint64_t kMaxPlanFileBytes = 2 << 20;

// Of the directories and files that tasks name by name.
std::vector<std::string> links_named(const loop::Plan& plan, const fs::path& tree) {
  std::vector<std::string> links;
  for (const loop::PlanTask& task : plan.tasks)
    for (const std::string& glob : task.writes) {
      fs::path path;
      for (const fs::path& part : fs::path(loop::fixed_part(glob))) {
        path /= part;
        std::error_code ignored;
        if (fs::is_symlink(tree / path, ignored)) links.push_back(path.generic_string());
      }
    }
  return links;
}

std::string forecast_text(const loop::TaskForecast& forecast, const std::string& currency) {
  std::string text = fmt::format(
      "{:.1f} takes, {:.0f} calls, {:.0f} tokens, {}", forecast.takes, forecast.calls,
      forecast.tokens,
      format_duration(Milliseconds(static_cast<std::int64_t>(forecast.seconds * 1000))));
  if (forecast.joules) text += ", " + format_energy(*forecast.joules);
  if (forecast.money) text += fmt::format(", {:.2f} {}", *forecast.money, currency);
  return text;
}

Json forecast_json(const loop::TaskForecast& forecast) {
  Json json = {{"takes", forecast.takes},
               {"calls", forecast.calls},
               {"tokens", forecast.tokens},
               {"seconds", forecast.seconds}};
  if (forecast.joules) json["joules"] = *forecast.joules;
  if (forecast.money) json["money"] = *forecast.money;
  if (!forecast.basis.empty()) json["basis"] = forecast.basis;
  return json;
}

std::vector<std::string> dep_ids(const loop::Plan& plan, std::size_t task) {
  std::vector<std::string> ids;
  for (const std::size_t dep : plan.tasks[task].deps) ids.push_back(plan.tasks[dep].id);
  return ids;
}

// The most tasks that stand at one depth.
int width_of(std::span<const int> depths) {
  std::map<int, int> at;
  for (const int depth : depths) ++at[depth];
  return std::ranges::max_element(at, {}, [](const auto& each) { return each.second; })->second;
}

}  // namespace

loop::PlanRules plan_rules(const fs::path& tree) {
  std::error_code ignored;
  for (fs::path dir = fs::weakly_canonical(tree, ignored); !dir.empty(); dir = dir.parent_path()) {
    if (fs::exists(dir / ".git", ignored)) return {.unnamed = Reach::kLan};
    if (dir == dir.parent_path()) break;
  }
  return {.unnamed = Reach::kLocal};
}

Result<loop::Plan> read_plan(const fs::path& file, const fs::path& tree) {
  LATHE_TRY(const std::string text, read_file(file, kMaxPlanFileBytes));
  LATHE_TRY(loop::Plan plan, loop::parse_plan(text, file.string(), plan_rules(tree)));
  if (const auto fine = loop::check_links(plan, links_named(plan, tree)); !fine)
    return at(file.string(), fine.error());
  return plan;
}

void print_tasks(const loop::Plan& plan, const loop::PlanForecast& forecast) {
  const std::vector<int> depths = loop::depths_of(plan);
  print(fmt::format("{}\n{}, {} deep, up to {} at once; sha256 {}\n", trim(plan.goal),
                    counted(plan.tasks.size(), "task"), *std::ranges::max_element(depths),
                    width_of(depths), plan.sha256.substr(0, 12)));
  for (const std::size_t i : plan.order) {
    const loop::PlanTask& task = plan.tasks[i];
    const std::vector<std::string> deps = dep_ids(plan, i);
    print(fmt::format("  {:<20} {:<7} {:<5} {}  writes {}; judged by {}{}\n", task.id,
                      task.maker->name, loop::label_name(task.label), task.difficulty,
                      join(task.writes, ", "), join(task.judges, ", "),
                      deps.empty() ? "" : "; after " + join(deps, ", ")));
    print(fmt::format("  {:<20} about {} ({})\n", "",
                      forecast_text(forecast.tasks[i], forecast.currency),
                      forecast.tasks[i].basis));
  }
  print(fmt::format("  all together judged by {}\n", join(plan.whole, ", ")));
  for (const std::string& note : plan.notes) print("note: " + note + "\n");
  print(fmt::format("about {}, where enough run at once\n",
                    forecast_text(forecast.total, forecast.currency)));
}

Json part_json(const loop::PartStand& part) {
  return {{"state", part_state_name(part.state)},
          {"round", part.round},
          {"run", part.run},
          {"why", part.why}};
}

Json plan_json(const loop::Plan& plan, const loop::PlanForecast& forecast) {
  Json json = {{"sha256", plan.sha256},  {"plan", plan.canonical},
               {"order", Json::array()}, {"tasks", Json::object()},
               {"notes", plan.notes},    {"forecast", forecast_json(forecast.total)}};
  for (const std::size_t i : plan.order) {
    const loop::PlanTask& task = plan.tasks[i];
    json["order"].push_back(task.id);
    json["tasks"][task.id] = {{"deps", dep_ids(plan, i)},
                              {"privacy", loop::label_name(task.label)},
                              {"forecast", forecast_json(forecast.tasks[i])}};
  }
  if (!forecast.currency.empty()) json["currency"] = forecast.currency;
  return json;
}

}  // namespace lathe::app
