// Missing, misspelt and unreachable workers, before anything is made or judged.
#include "app/cli/worker_check.h"

#include "ground/base/text.h"

namespace lathe::app {
namespace {

struct Need {
  std::string worker;
  std::string by;  // "make.ladder", "the judge 'meaning'"
  bool advises = false;
  bool spared = false;  // the run does without it
  bool pictures = false;
  bool away = false;  // a node asks it
};

std::vector<Need> needs_of(const loop::Recipe& recipe, const loop::Bench& bench) {
  const auto goes_away = [&](const loop::CallId& call) {
    return bench.elsewhere && bench.elsewhere->takes(recipe, call);
  };
  std::vector<Need> needs;
  for (const std::string& rung : worker_rungs(recipe))
    needs.push_back({.worker = rung,
                     .by = "make.ladder",
                     .spared = does_without_workers(recipe),
                     .pictures = recipe.maker->shows_pictures &&
                                 recipe.maker->shows_pictures(recipe.make_options),
                     .away = goes_away(loop::CallId::make(0, 1, 0))});
  for (std::size_t i = 0; i < recipe.judges.size(); ++i) {
    const loop::JudgeSpec& judge = recipe.judges[i];
    if (!judge.kind->needs_worker) continue;
    needs.push_back({.worker = option_string(judge.options, "worker"),
                     .by = fmt::format("the judge '{}'", judge.name),
                     .advises = judge.kind->advises && judge.kind->advises(judge.options),
                     .pictures = judge.kind->shows_pictures,
                     .away = goes_away(loop::CallId::judging(0, 1, 0, i, 0))});
  }
  return needs;
}

}  // namespace

Status check_worker_names(const App& app, const loop::Recipe& recipe, const WorkerFlags& flags,
                          const loop::Bench& bench) {
  const std::vector<Need> needs = needs_of(recipe, bench);
  std::vector<std::string> names;
  for (const Need& need : needs)
    if (std::ranges::find(names, need.worker) == names.end()) names.push_back(need.worker);
  for (const std::string& spec : flags.specs) {
    const std::string name = spec.substr(0, spec.find('='));
    if (std::ranges::find(names, name) != names.end()) continue;
    if (names.empty())
      return invalid("--worker {}: the recipe '{}' asks no worker; leave it out",
                     clip_utf8(name, 60), recipe.name);
    return invalid("--worker {}: the recipe '{}' asks no worker of this name{}; it asks {}",
                   clip_utf8(name, 60), recipe.name, did_you_mean(name, names), join(names, ", "));
  }
  for (const Need& need : needs)
    if (!need.advises && !need.spared && !need.away && !bench.worker(need.worker))
      return invalid(
          "there is no worker '{}', and {} asks it: give --worker {}=URL, or keep it in {} as "
          "[worker.{}]",
          need.worker, need.by, need.worker, (app.config_dir / "workers.toml").string(),
          need.worker);
  for (const Need& need : needs)
    if (!need.advises && !need.away && need.pictures)
      LATHE_TRY_STATUS(bench.worker(need.worker)->sees());
  return {};
}

Status check_workers_answer(const loop::Recipe& recipe, const loop::Bench& bench) {
  Status rungs;  // of the first rung that does not answer, while none does
  bool answers = !recipe.maker->needs_worker;  // where it needs none, one is asked when it is due
  std::set<std::string> asked;
  for (const Need& need : needs_of(recipe, bench)) {
    Worker* worker = bench.worker(need.worker);
    if (need.away || !worker || need.advises || !asked.insert(need.by + need.worker).second)
      continue;
    const bool rung = need.by == "make.ladder";
    if (rung && answers) continue;
    Status ready = worker->ready(bench.stop);
    if (ready) {
      answers |= rung;
    } else if (!rung) {
      return ready;
    } else if (rungs) {
      rungs = std::move(ready);
    }
  }
  return answers ? Status() : rungs;
}

std::vector<std::string> silent_advisers(const loop::Recipe& recipe, const loop::Bench& bench) {
  std::vector<std::string> lines;
  for (const Need& need : needs_of(recipe, bench)) {
    if (!need.advises || need.away) continue;
    const Worker* worker = bench.worker(need.worker);
    if (!worker)
      lines.push_back(fmt::format("{} advises, and has no worker '{}' to ask: give --worker {}=URL",
                                  need.by, need.worker, need.worker));
    else if (const Result<bool> seeing = worker->sees(); need.pictures && !seeing)
      lines.push_back(fmt::format("{} will give no advice: {}", need.by, seeing.error().message));
  }
  return lines;
}

}  // namespace lathe::app
