// lathe loop RECIPE: make, judge and repair until everything passes. lathe fix COMMAND: the same
// for a project and the command that tests it. lathe resume RUN: go on with one that was stopped.
#include "app/cli/loop.h"
#include "app/cli/fleet_watch.h"
#include "app/cli/indexes.h"
#include "app/cli/journals.h"
#include "app/cli/opened_run.h"
#include "app/cli/output_file.h"
#include "app/cli/recipes.h"
#include "app/cli/remember.h"
#include "app/cli/retention.h"
#include "app/cli/running_server.h"
#include "app/cli/view.h"
#include "app/cli/worker_check.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

void print_plan(const loop::Run& run) {
  const loop::Recipe& recipe = run.state().recipe;
  std::string budgets;
  for (const loop::BudgetKind& kind : loop::budget_kinds())
    if (const auto limit = recipe.stop.budgets.find(kind.option.name);
        limit != recipe.stop.budgets.end())
      budgets += ", " + kind.amount(limit->second);
  print(fmt::format("run {}: recipe {}, {}, at most {} each{}\n", run.id(), recipe.name,
                    counted(run.state().units.size(), "unit"),
                    counted(static_cast<std::size_t>(recipe.stop.laps), "lap"), budgets));
}

void print_project(const FoundRecipe& found) {
  const Json& unit = found.recipe.unit_options;
  print(fmt::format("project: {}; tests: {}\n", found.project, option_string(unit, "command")));
  if (const auto seen = option_strings(unit, "read_only"); !seen.empty())
    print(fmt::format("to be read in the sandbox: {}\n", join(seen, ", ")));
}

// Whoever cannot be reached is said before anything is paid for. The run stays open: nothing of it
// is lost.
int drive_if_workers_answer(const App& app, books::Journal& journal, loop::Run& run,
                            const DriveSetup& setup, View& view) {
  const loop::Bench& bench = setup.bench();
  if (!run.state().ended && run.state().open_tracks > 0)
    if (const Status answer = check_workers_answer(run.state().recipe, bench); !answer) {
      if (app.json)
        print_json({{"kind", "not_judged"}, {"run", run.id()}, {"reason", answer.error().message}});
      else
        print(make_valid_utf8(
            fmt::format("not judged: {}\nnothing was done: lathe resume {} tries again\n",
                        answer.error().message, run.id())));
      return kExitNotJudged;
    }
  std::unique_ptr<FleetWatch> fleet;
  if (setup.fleet() != nullptr && !run.state().ended) {
    auto started = FleetWatch::start(app, setup, run.id(), cores());
    if (!started) return report_error(app, started.error());
    fleet = *std::move(started);
  }
  const int code = drive_and_finish(app, journal, run, bench, view);
  if (fleet) print_traffic(app, setup.traffic());
  return code;
}

// Whoever works through the queue goes on with it.
int put_in_queue(const App& app, books::Journal& journal, const loop::Run& run) {
  if (auto queued = journal.enqueue(run.id(), system_clock().unix_ms()); !queued)
    return report_error(app, queued.error());
  if (app.json)
    print_json({{"kind", "queued"}, {"run", run.id()}});
  else
    print("queued; `lathe queue run` works on it, `lathe queue list` shows it\n");
  return kExitPassed;
}

void print_page(const App& app, const std::string& run) {
  const auto url = running_server(app);
  if (!url)
    print_note("note: no server runs here, so there is no page to watch; `lathe open` starts one");
  else if (app.json)
    print_json({{"event", "page"}, {"url", fmt::format("{}/#/runs/{}", *url, run)}});
  else
    print(fmt::format("watch it at {}/#/runs/{}\n", *url, run));
}

}  // namespace

int run_loop(const App& app, const LoopFlags& flags) {
  auto found = find_recipe(app, flags.recipe, flags.set, flags.input);
  if (!found) return report_error(app, found.error());
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  if (auto kept = erase_old_runs(app, *journal); !kept) return report_error(app, kept.error());
  View view(app, flags.drive.verbose);
  const auto setup = DriveSetup::make(app, flags.drive, found->recipe.privacy, &view);
  if (!setup) return report_error(app, setup.error());
  const loop::Bench& bench = (*setup)->bench();
  if (auto fine = check_worker_names(app, found->recipe, flags.drive.workers, bench); !fine)
    return report_error(app, fine.error());
  if (!app.json) {
    for (const std::string& warning : found->recipe.warnings) print("warning: " + warning + "\n");
    for (const std::string& note : silent_advisers(found->recipe, bench))
      print("note: " + note + "\n");
  }
  if (!app.json && !found->project.empty()) print_project(*found);
  if (!flags.out.empty())
    if (const auto out = OutputDirectory::open(flags.out, flags.force); !out)
      return report_error(app, out.error());
  std::error_code ignored;
  const fs::path recipe_dir = fs::absolute(found->path, ignored).parent_path();
  auto look_up = open_context(app, found->recipe, recipe_dir);
  if (!look_up) return report_error(app, look_up.error());
  auto recall = open_recall(app, found->recipe, recipe_dir);
  if (!recall) return report_error(app, recall.error());
  loop::NewRun request{std::move(found->recipe),
                       recipe_dir,
                       flags.input,
                       {{"out", flags.out.empty() ? "" : fs::absolute(flags.out, ignored).string()},
                        {"force", flags.force},
                        {"apply", !flags.no_apply},
                        {"workers", flags.drive.workers.specs},
                        {"allow", flags.drive.workers.allow}},
                       *std::move(look_up),
                       *std::move(recall)};
  if (request.recipe.memory) request.extra["project"] = recipe_dir.string();
  if (!flags.by.empty()) request.extra["by"] = flags.by;
  if (flags.drive.fleet) request.extra["fleet"] = true;
  // It will be worked on from elsewhere.
  if (flags.background) request.extra["out_root"] = fs::absolute(kOutputs, ignored).string();
  auto run = loop::Run::start(*journal, request, bench);
  if (!run) return report_error(app, run.error());
  if (!app.json) print_plan(*run);
  if (flags.watch) print_page(app, run->id());
  return flags.background ? put_in_queue(app, *journal, *run)
                          : drive_if_workers_answer(app, *journal, *run, **setup, view);
}

namespace {

// The recipe fix-tests on a project; with a command of the user's own, whatever that prints.
int fix(const App& app, const std::string& command, LoopFlags flags) {
  flags.recipe = "fix-tests";
  if (flags.input.empty()) flags.input = ".";
  std::vector<std::string> set;
  if (!trim(command).empty())
    set = {"unit.command=" + dump_json(Json(command)), "unit.report=\"\"", "unit.format=\"any\""};
  flags.set.insert(flags.set.begin(), set.begin(), set.end());
  return run_loop(app, flags);
}

}  // namespace

int resume_run(const App& app, ResumeFlags flags) {
  auto opened = open_run(app, flags.run);
  if (!opened) return report_error(app, opened.error());
  workers_of_run(opened->state.header, flags.drive.workers);
  flags.drive.fleet |= json_bool(opened->state.header.extra, "fleet", false);
  View view(app, flags.drive.verbose);
  const auto setup = DriveSetup::make(app, flags.drive, opened->state.recipe.privacy, &view);
  if (!setup) return report_error(app, setup.error());
  const loop::Bench& bench = (*setup)->bench();
  if (!opened->state.ended || opened->state.end_state == loop::RunResult::kNotJudged)
    if (auto fine = check_worker_names(app, opened->state.recipe, flags.drive.workers, bench);
        !fine)
      return report_error(app, fine.error());
  auto run = loop::Run::resume(opened->journal, opened->id, bench, flags.redo);
  if (!run) return report_error(app, run.error());
  if (!app.json) print_plan(*run);
  return drive_if_workers_answer(app, opened->journal, *run, **setup, view);
}

void add_loop_flags(CLI::App& command, LoopFlags& flags) {
  command.add_option("--out", flags.out, "Directory for the results (default: lathe-out/RUN)");
  add_force_flag(command, flags.force);
  command.add_flag("--no-apply", flags.no_apply,
                   "Do not write passed changes into the source tree");
  command.add_flag("--background", flags.background,
                   "Put it in the queue; `lathe queue run` works on it when nobody is in its way");
  command.add_flag("--watch", flags.watch, "Say where to watch it in a browser");
  command.add_option("--by", flags.by)->group("");  // for servers
  command.add_option("--set", flags.set, "Change a value of the recipe: --set make.best_of=4")
      ->take_all();
  add_drive_flags(command, flags.drive);
  add_fleet_flag(command, flags.drive);
}

void add_fix(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<LoopFlags>();
  auto tests = std::make_shared<std::string>();
  CLI::App* command =
      cli.add_subcommand("fix", "Repair a project until the command that tests it passes");
  command->add_option(
      "command", *tests,
      "Tests the project: a line for sh (default: as its kind of project is tested)");
  command->add_option("--input", flags->input, "The project (default: the working directory)");
  add_loop_flags(*command, *flags);
  command->callback([&app, &action, flags, tests] {
    action = [&app, flags, tests] { return fix(app, *tests, *flags); };
  });
}

void add_loop(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<LoopFlags>();
  CLI::App* command =
      cli.add_subcommand("loop", "Run a recipe: make, judge and repair until everything passes");
  command->add_option("recipe", flags->recipe, "A shipped recipe's name, or a path")->required();
  command->add_option("--input", flags->input,
                      "The file (or source tree) to work on, instead of the recipe's own");
  add_loop_flags(*command, *flags);
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return run_loop(app, *flags); }; });
}

void add_resume(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ResumeFlags>();
  CLI::App* command = cli.add_subcommand("resume", "Go on with a run that was stopped");
  command->add_option("run", flags->run, "Its id, the beginning of it, or \"last\"")->required();
  command->add_flag("--redo", flags->redo,
                    "Make calls again that must not be made twice and whose end is not known");
  add_drive_flags(*command, flags->drive);
  add_fleet_flag(*command, flags->drive);
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return resume_run(app, *flags); }; });
}

}  // namespace lathe::app
