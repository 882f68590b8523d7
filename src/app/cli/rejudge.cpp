// lathe rejudge RUN: judge an old run's candidates again, nothing is generated.
#include "app/cli/drive.h"
#include "app/cli/opened_run.h"
#include "app/cli/recipes.h"
#include "app/cli/view.h"

namespace lathe::app {
namespace {

struct RejudgeFlags {
  std::string run;
  std::string recipe;
  std::vector<std::string> set;
  DriveFlags drive;
};

struct Changed {
  int judged = 0, flipped = 0;
};

// Candidate by candidate: would the new judges have said the same?
Changed compare(const App& app, const loop::RunState& before, const loop::RunState& after) {
  Changed changed;
  for (std::size_t t = 0; t < std::min(before.tracks.size(), after.tracks.size()); ++t) {
    const auto& old_laps = before.tracks[t].laps;
    const auto& new_laps = after.tracks[t].laps;
    for (std::size_t l = 0; l < std::min(old_laps.size(), new_laps.size()); ++l)
      for (std::size_t n = 0;
           n < std::min(old_laps[l].candidates.size(), new_laps[l].candidates.size()); ++n) {
        if (new_laps[l].candidates[n].verdicts.empty()) continue;
        const loop::Outcome was = loop::outcome_of(before.recipe, old_laps[l].candidates[n]);
        const loop::Outcome is = loop::outcome_of(after.recipe, new_laps[l].candidates[n]);
        ++changed.judged;
        if (was == is) continue;
        ++changed.flipped;
        const std::string& key = before.units[before.tracks[t].units.front()].key;
        if (!app.json)
          print(fmt::format("  {} lap {} candidate {}: {} → {}\n", key, l + 1, n + 1,
                            loop::outcome_name(was), loop::outcome_name(is)));
      }
  }
  return changed;
}

int rejudge(const App& app, const RejudgeFlags& flags) {
  auto opened = open_run(app, flags.run);
  if (!opened) return report_error(app, opened.error());
  const loop::RunState& before = opened->state;

  // The old recipe, with the judges of the other one.
  Json canonical = before.recipe.canonical;
  fs::path recipe_dir;
  if (!flags.recipe.empty()) {
    const auto found = find_recipe(app, flags.recipe, flags.set);
    if (!found) return report_error(app, found.error());
    std::error_code ignored;
    recipe_dir = fs::absolute(found->path, ignored).parent_path();
    canonical["judge"] = found->recipe.canonical["judge"];
    canonical["combine"] = found->recipe.canonical["combine"];
  }
  auto recipe = loop::recipe_from_json(canonical);
  if (!recipe) return report_error(app, recipe.error());
  View view(app, flags.drive.verbose);
  const auto setup = DriveSetup::make(app, flags.drive, recipe->privacy, &view);
  if (!setup) return report_error(app, setup.error());
  auto run = loop::Run::start_rejudge(opened->journal, opened->id, opened->entries, *recipe,
                                      recipe_dir, (*setup)->bench());
  if (!run) return report_error(app, run.error());
  if (auto driven = run->drive(); !driven) return report_error(app, driven.error());
  view.finish();
  const Changed changed = compare(app, before, run->state());
  if (app.json)
    print_json({{"run", run->id()},
                {"of", opened->id},
                {"judged", changed.judged},
                {"flipped", changed.flipped}});
  else
    print(fmt::format("run {} judges the candidates of {} again: {} of {} outcomes differ; {}\n",
                      run->id(), opened->id, changed.flipped, changed.judged,
                      run->state().end_why));
  return exit_code_of(run->state());
}

}  // namespace

void add_rejudge(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<RejudgeFlags>();
  CLI::App* command =
      cli.add_subcommand("rejudge", "Judge a run's candidates again; nothing is generated");
  command->add_option("run", flags->run, "Its id, the beginning of it, or \"last\"")->required();
  command->add_option("--recipe", flags->recipe,
                      "Take the judges of this recipe (default: the run's own)");
  command->add_option("--set", flags->set, "Change a value of that recipe")->take_all();
  add_drive_flags(*command, flags->drive);
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return rejudge(app, *flags); }; });
}

}  // namespace lathe::app
