// lathe bench grid FILE: models beside each other as a run of a grid, and what it came to as a
// table and as a record.
#include "app/cli/grid.h"

#include "app/cli/bench_flags.h"
#include "app/cli/indexes.h"
#include "app/cli/journals.h"
#include "app/cli/opened_run.h"
#include "app/cli/output_file.h"
#include "app/cli/recipes.h"
#include "app/cli/view.h"
#include "app/cli/worker_check.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"

namespace lathe::app {
namespace {

// Those of the ladder that have to say how likely a text is can, and all can be asked: before
// anything is made.
Status check_models(const loop::Run& run, const loop::Bench& bench) {
  const bool weighs = std::ranges::any_of(
      run.state().units, [](const loop::Unit& unit) { return unit.data.contains("choices"); });
  for (const std::string& name : run.state().recipe.ladder) {
    Worker* worker = bench.worker(name);
    LATHE_TRY_STATUS(worker->ready(bench.stop));
    if (!weighs) continue;
    const auto likelihood = worker->likelihood({.context = "One", .text = " two"}, bench.stop);
    if (!likelihood) return at("multiple choice goes by likelihoods", likelihood.error());
  }
  return {};
}

bool is_done(const loop::RunState& state) {
  return state.ended && state.end_state != loop::RunResult::kNotJudged;
}

// The run to its end or to a stop; a fault of its own is said with how to go on.
Status drive(const App& app, loop::Run& run, const loop::Bench& bench, View& view) {
  const std::string again = fmt::format("`lathe bench grid --run {}` goes on", run.id());
  if (auto fine = check_models(run, bench); !fine)
    return fail(fine.error().kind, "{}; nothing was asked, {}", fine.error().message, again);
  const Status driven = run.drive();
  view.finish();
  if (!driven) return fail(driven.error().kind, "{}; {}", driven.error().message, again);
  if (!run.state().ended && !app.json) print(fmt::format("stopped; {}\n", again));
  return {};
}

// What keeps a figure from being the last word.
std::vector<std::string> objections_to(const Grid& grid) {
  std::size_t errors = 0, missing = 0;
  for (const Cell& cell : grid.cells) {
    errors += cell.state == CellState::kError ? 1 : 0;
    missing += cell.state == CellState::kMissing ? 1 : 0;
  }
  std::vector<std::string> objections;
  if (errors > 0) objections.push_back(counted(errors, "cell") + " without a verdict");
  if (missing > 0) objections.push_back(counted(missing, "cell") + " without an end");
  return objections;
}

Json record_of(const std::string& id, const loop::RunState& state, const Grid& grid) {
  const std::vector<std::string> objections = objections_to(grid);
  Json made = grid_json(grid);
  made["run"] = id;
  made["recipe"] = state.recipe.name;
  made["recipe_sha256"] = state.recipe.sha256;
  return {{"schema", kBenchSchema},
          {"kind", kBenchKind},
          {"profile", "grid"},
          {"program", program_json()},
          {"machine", machine_json(state.header.parallel)},
          {"started", format_utc(state.header.created_ms)},
          {"wall_us", state.t_ms * 1000},
          {"publishable", objections.empty()},
          {"objections", objections},
          {"models", grid_models_json(grid)},
          {"grid", std::move(made)}};
}

// The first error of each model, so that a person knows where to look.
std::string error_lines(const Grid& grid) {
  std::string text;
  for (std::size_t model = 0; model < grid.models.size(); ++model)
    for (std::size_t i = 0; i < grid.cells.size(); ++i)
      if (i / grid.seeds % grid.models.size() == model &&
          grid.cells[i].state == CellState::kError) {
        text +=
            fmt::format("{}, {}: no verdict: {}\n", grid.models[model].name,
                        grid.prompts[i / grid.seeds / grid.models.size()].key, grid.cells[i].why);
        break;
      }
  return text;
}

Result<int> show_grid(const App& app, const GridFlags& flags, const books::Journal& journal,
                      const loop::Run& run) {
  std::vector<books::LedgerRow> rows;
  LATHE_TRY_STATUS(
      journal.rows({.run = run.id()}, [&](const books::LedgerRow& row) { rows.push_back(row); }));
  LATHE_TRY(const Grid grid, grid_of(run.state(), rows));
  const Json record = record_of(run.id(), run.state(), grid);
  if (app.json)
    print_raw(record_text(record));
  else
    print(grid_lines(grid) + error_lines(grid) + fmt::format("run {}\n", run.id()));
  LATHE_TRY_STATUS(
      write_record(app, {.out = flags.out, .html = flags.html, .sign = flags.sign}, record));
  if (!run.state().ended) return kExitStopped;
  return objections_to(grid).empty() ? kExitPassed : kExitNotJudged;
}

}  // namespace

Result<int> run_grid(const App& app, GridFlags flags) {
  LATHE_TRY_STATUS(
      check_record_files({.out = flags.out, .html = flags.html, .sign = flags.sign}, flags.force));
  View view(app, flags.drive.verbose);
  loop::Observer* observer = app.json ? nullptr : &view;
  if (!flags.run.empty()) {
    LATHE_TRY(OpenedRun opened, open_run(app, flags.run));
    workers_of_run(opened.state.header, flags.drive.workers);
    LATHE_TRY_STATUS(grid_of(opened.state, {}));
    LATHE_TRY(const auto setup,
              DriveSetup::make(app, flags.drive, opened.state.recipe.privacy, observer));
    const loop::Bench& bench = (*setup).bench();
    const bool done = is_done(opened.state);
    if (!done)
      LATHE_TRY_STATUS(check_worker_names(app, opened.state.recipe, flags.drive.workers, bench));
    LATHE_TRY(loop::Run run, loop::Run::resume(opened.journal, opened.id, bench));
    if (!done) LATHE_TRY_STATUS(drive(app, run, bench, view));
    return show_grid(app, flags, opened.journal, run);
  }
  LATHE_TRY(FoundRecipe found, find_recipe(app, flags.recipe, flags.set, flags.input));
  if (found.recipe.seeds == 0)
    return invalid("{}: is no grid; [unit] seeds = 3 makes one of it", found.path.string());
  LATHE_TRY(books::Journal journal, open_journal(app));
  LATHE_TRY(const auto setup, DriveSetup::make(app, flags.drive, found.recipe.privacy, observer));
  const loop::Bench& bench = (*setup).bench();
  LATHE_TRY_STATUS(check_worker_names(app, found.recipe, flags.drive.workers, bench));
  std::error_code ignored;
  const fs::path recipe_dir = fs::absolute(found.path, ignored).parent_path();
  if (found.recipe.memory)
    return invalid("{}: a grid compares models on the same prompts; leave [memory] out",
                   found.path.string());
  LATHE_TRY(auto look_up, open_context(app, found.recipe, recipe_dir));
  const loop::NewRun request{
      std::move(found.recipe),
      recipe_dir,
      flags.input,
      {{"workers", flags.drive.workers.specs}, {"allow", flags.drive.workers.allow}},
      std::move(look_up)};
  LATHE_TRY(loop::Run run, loop::Run::start(journal, request, bench));
  if (!app.json)
    print(fmt::format("run {}: {}\n", run.id(), counted(run.state().units.size(), "cell")));
  LATHE_TRY_STATUS(drive(app, run, bench, view));
  return show_grid(app, flags, journal, run);
}

void add_grid_flags(CLI::App& command, GridFlags& flags) {
  command.add_option("--run", flags.run,
                     "Go on with this run (its id, the beginning of it, or \"last\"), and show it");
  command.add_option("--out", flags.out, "Write the record as JSON");
  command.add_option("--html", flags.html, "Write it as a page");
  command.add_option("--sign", flags.sign, "Sign --out with this SSH key: FILE.sig beside it");
  add_force_flag(command, flags.force);
  command.add_option("--set", flags.set, "Change a value of the recipe: --set unit.seeds=5")
      ->take_all();
  add_drive_flags(command, flags.drive);
}

void add_bench_grid(CLI::App& bench, App& app, Action& action) {
  auto flags = std::make_shared<GridFlags>();
  CLI::App* command = bench.add_subcommand(
      "grid", "Models beside each other: prompts, seeds and judges of a recipe");
  command->add_option("recipe", flags->recipe, "A recipe with [unit] seeds");
  command->add_option("--input", flags->input, "The prompts, instead of the recipe's own");
  add_grid_flags(*command, *flags);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      if (flags->recipe.empty() == flags->run.empty())
        return report_error(app, {.message = "name a recipe, or a run with --run"});
      const auto code = run_grid(app, *flags);
      return code ? *code : report_error(app, code.error());
    };
  });
}

}  // namespace lathe::app
