// lathe plan TASK.md: a model cuts a piece of work into tasks. lathe plan check | show: what a plan
// comes to, and what is wrong with it.
#include "app/cli/drive.h"
#include "app/cli/journals.h"
#include "app/cli/output_file.h"
#include "app/cli/plans.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "loop/plan/planner.h"
#include "loop/terms/ecosystems.h"

namespace lathe::app {
namespace {

struct PlanFlags {
  std::string file;         // the task, or the plan
  std::string input = ".";  // the tree
  std::string out = "plan.toml";
  bool force = false;
  std::string planner;
  DriveFlags drive;
};

Result<loop::PlanForecast> forecast_here(const App& app, const loop::Plan& plan) {
  LATHE_TRY(const books::Journal journal, open_journal(app));
  LATHE_TRY(const loop::TakeHistory history, loop::read_history(journal));
  return loop::forecast_of(plan, history);
}

int check_plan(const App& app, const PlanFlags& flags) {
  const auto plan = read_plan(flags.file, flags.input);
  if (!plan) return report_error(app, plan.error());
  if (app.json) {
    print_json({{"plan", flags.file},
                {"sha256", plan->sha256},
                {"tasks", plan->tasks.size()},
                {"notes", plan->notes}});
    return kExitPassed;
  }
  for (const std::string& note : plan->notes) print("note: " + note + "\n");
  print(fmt::format("{}: fine ({}, sha256 {})\n", flags.file, counted(plan->tasks.size(), "task"),
                    plan->sha256.substr(0, 12)));
  return kExitPassed;
}

int show_plan(const App& app, const PlanFlags& flags) {
  const auto plan = read_plan(flags.file, flags.input);
  if (!plan) return report_error(app, plan.error());
  const auto forecast = forecast_here(app, *plan);
  if (!forecast) return report_error(app, forecast.error());
  if (app.json)
    print_json(plan_json(*plan, *forecast));
  else
    print_tasks(*plan, *forecast);
  return kExitPassed;
}

// The named one, or the only one there is.
Result<std::string> planner_of(const PlanFlags& flags, const DriveSetup& setup) {
  const std::vector<std::string> names = setup.workers();
  if (!flags.planner.empty()) {
    if (std::ranges::find(names, flags.planner) != names.end()) return flags.planner;
    return invalid("--planner {}: there is no worker of this name{}; give --worker {}=URL",
                   clip_utf8(flags.planner, 60), did_you_mean(flags.planner, names),
                   clip_utf8(flags.planner, 60));
  }
  if (names.size() == 1) return names.front();
  return invalid(
      "name the worker that plans with --planner NAME{}",
      names.empty() ? ", and give it with --worker NAME=URL" : ": there are " + join(names, ", "));
}

Result<loop::PlannerTask> planner_task(const PlanFlags& flags) {
  loop::PlannerTask task;
  LATHE_TRY(task.text, read_file(flags.file, 64 << 10));
  LATHE_TRY(task.files, list_files(flags.input));
  std::erase_if(task.files, [](const std::string& file) {
    return file.starts_with('.') || file.find("/.") != file.npos;
  });
  if (const auto project = loop::find_project(flags.input))
    task.tests = std::string(project->ecosystem->command);
  return task;
}

// A draft, and what is wrong with it: it goes back once.
Result<loop::Plan> ask_planner(const PlanFlags& flags, Worker& worker, const StopFlag& stop,
                               std::string& draft) {
  LATHE_TRY(const loop::PlannerTask task, planner_task(flags));
  std::string refused;
  for (int attempt = 0;; ++attempt) {
    LATHE_TRY(const Reply reply,
              worker.complete(loop::planner_request(task, draft, refused), stop, {}));
    draft = make_valid_utf8(reply.text);
    auto plan = loop::parse_plan(draft, "the planner's draft", plan_rules(flags.input));
    if (plan || attempt == 1) return plan;
    refused = plan.error().message;
    print_note("note: the plan goes back once: " + refused);
  }
}

int make_plan(const App& app, const PlanFlags& flags) {
  if (auto fine = check_output(flags.out, {flags.file}, flags.force); !fine)
    return report_error(app, fine.error());
  // The names of the tree's files and the task go to the planner.
  const Reach label = plan_rules(flags.input).unnamed;
  const auto setup = DriveSetup::make(app, flags.drive, label, nullptr);
  if (!setup) return report_error(app, setup.error());
  const auto planner = planner_of(flags, **setup);
  if (!planner) return report_error(app, planner.error());
  std::string draft;
  const auto plan = ask_planner(flags, *(*setup)->bench().worker(*planner), *app.stop, draft);
  if (!plan) {
    if (draft.empty()) return report_error(app, plan.error());
    const std::string kept = flags.out + ".draft.json";
    if (auto written = write_file_atomic(kept, draft); !written)
      return report_error(app, written.error());
    return report_error(
        app, {plan.error().kind,
              fmt::format("{}\nthe planner was told once, and its second draft is no better; it is "
                          "in {}: correct it by hand, and `lathe plan check` it",
                          plan.error().message, kept)});
  }
  if (auto written = write_file_atomic(flags.out, loop::plan_toml(plan->canonical)); !written)
    return report_error(app, written.error());
  const auto forecast = forecast_here(app, *plan);
  if (!forecast) return report_error(app, forecast.error());
  if (app.json) {
    Json json = plan_json(*plan, *forecast);
    json["file"] = flags.out;
    print_json(json);
  } else {
    print_tasks(*plan, *forecast);
    print(
        fmt::format("written to {}; `lathe fleet run {}` carries it out\n", flags.out, flags.out));
  }
  return kExitPassed;
}

void add_input(CLI::App& command, PlanFlags& flags) {
  command.add_option("--input", flags.input, "The source tree (default: the working directory)");
}

}  // namespace

void add_plan(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* plan =
      cli.add_subcommand("plan", "Cut a piece of work into tasks; check and show plans");
  plan->require_subcommand(0, 1);
  plan->add_option("task", flags->file, "A text that says what is wanted");
  add_input(*plan, *flags);
  plan->add_option("--out", flags->out, "The plan's file")->capture_default_str();
  add_force_flag(*plan, flags->force);
  plan->add_option("--planner", flags->planner, "The worker that plans (default: the only one)");
  add_worker_flags(*plan, flags->drive.workers);
  const auto add = [&](const char* verb, const char* help,
                       int (*run)(const App&, const PlanFlags&)) {
    auto own = std::make_shared<PlanFlags>();
    CLI::App* sub = plan->add_subcommand(verb, help);
    sub->add_option("plan", own->file, "The plan's file")->required();
    add_input(*sub, *own);
    sub->callback(
        [&app, &action, own, run] { action = [&app, own, run] { return run(app, *own); }; });
  };
  add("check", "Say what is wrong with a plan", check_plan);
  add("show", "Print a plan's tasks in order, with a forecast", show_plan);
  plan->callback([&app, &action, flags, plan] {
    if (!plan->get_subcommands().empty()) return;
    if (flags->file.empty()) throw CLI::RequiredError("task, check or show");
    action = [&app, flags] { return make_plan(app, *flags); };
  });
}

}  // namespace lathe::app
