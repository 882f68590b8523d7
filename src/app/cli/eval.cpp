// lathe eval FILE: models on tasks that say themselves what is right, as a run of a grid.
#include "app/cli/grid.h"

namespace lathe::app {
namespace {

constexpr std::string_view kModelFile = ".gguf";

struct EvalFlags : GridFlags {
  std::vector<std::string> models, ignore;
  int seeds = 1;
};

// The recipe `eval` with the models that the command line names.
Result<int> eval(const App& app, EvalFlags flags) {
  std::vector<std::string> ladder;
  for (const std::string& model : flags.models) {
    ladder.push_back(model.ends_with(kModelFile) ? fs::path(model).stem().string() : model);
    if (model.ends_with(kModelFile))
      flags.drive.workers.specs.push_back(ladder.back() + "=" + model);
  }
  if (ladder.empty())
    for (const std::string& spec : flags.drive.workers.specs)
      ladder.push_back(spec.substr(0, spec.find('=')));
  if (ladder.empty() && flags.run.empty())
    return invalid("name a model: --models FILE.gguf, or --worker NAME=URL");
  if (flags.input.empty() == flags.run.empty())
    return invalid("name a file of tasks, or a run with --run");
  flags.recipe = "eval";
  const std::vector<std::string> set = {"make.ladder=" + dump_json(Json(ladder)),
                                        fmt::format("unit.seeds={}", flags.seeds),
                                        "judge.key.ignore=" + dump_json(Json(flags.ignore))};
  flags.set.insert(flags.set.begin(), set.begin(), set.end());
  return run_grid(app, std::move(flags));
}

}  // namespace

void add_eval(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = cli.add_subcommand("eval", "Measure models on tasks that say what is right");
  command->add_option("tasks", flags->input, "A JSON line a task: docs/bench.md");
  command
      ->add_option("--models", flags->models,
                   "GGUF files, or names of workers (default: those of --worker)")
      ->delimiter(',');
  command->add_option("--seeds", flags->seeds, "Each task so often, with the seeds from 1 on")
      ->capture_default_str();
  command
      ->add_option("--ignore", flags->ignore,
                   "What may differ from an expected text: blanks, case, punctuation")
      ->delimiter(',');
  add_grid_flags(*command, *flags);
  command->callback([&app, &action, flags] {
    action = [&app, flags] {
      const auto code = eval(app, *flags);
      return code ? *code : report_error(app, code.error());
    };
  });
}

}  // namespace lathe::app
