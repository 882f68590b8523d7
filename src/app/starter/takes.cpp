// A round of accepted takes: what passes all its tests becomes something to learn from.
#include "app/starter/takes.h"

namespace lathe::app {
namespace {

std::string body_in(std::string_view source) {
  return std::string(source.substr(std::min(source.size(), source.find('\n') + 1)));
}

Result<Drill> drill_from(const loop::MiniTask& task, const std::string& from,
                         const std::string& to) {
  LATHE_TRY(std::string answer, loop::mini_answer(from, to));
  return Drill{loop::mini_prompt(task, from, loop::run_mini_tests(task, from, task.tests)),
               std::move(answer)};
}

}  // namespace

Result<Takes> accepted_takes(const TakesOptions& options) {
  LATHE_TRY(const auto player, Player::open(options.model, options.threads));
  if (options.temperature) player->set_temperature(*options.temperature);
  Random random(options.seed);
  std::vector<loop::MiniTask> tasks;
  std::vector<std::string> gold;
  for (std::size_t i = 0; i < options.count; ++i) {
    DrawnTask drawn = draw_task(random, Split::kTrain, random.pick(options.depths), i % 2 == 0);
    drawn.task.id = fmt::format("take-{}-{}", options.seed, i + 1);
    gold.push_back(drawn.depth <= kGoldDepth ? std::move(drawn.gold) : "");
    tasks.push_back(std::move(drawn.task));
  }
  std::vector<std::vector<PlayedLap>> played(tasks.size());
  LATHE_TRY_STATUS(in_parallel(tasks.size(), options.at_once, [&](std::size_t i) -> Status {
    LATHE_TRY(played[i], player->play(tasks[i], options.laps, true, options.seed));
    return {};
  }));
  Takes takes;
  takes.tasks = tasks.size();
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const PlayedLap& last = played[i].back();
    takes.wrong += last.visible && !last.hidden;
    takes.accepted += last.hidden;
    const std::string accepted = last.hidden ? body_in(last.source) : gold[i];
    if (accepted.empty()) continue;
    std::vector<std::string> befores{tasks[i].body};
    for (const PlayedLap& lap : played[i])
      for (const std::string& tried : lap.tried)
        if (body_in(tried) != accepted) befores.push_back(body_in(tried));
    for (const std::string& before : befores) {
      LATHE_TRY(Drill drill, drill_from(tasks[i], before, accepted));
      takes.drills.push_back(std::move(drill));
    }
  }
  return takes;
}

}  // namespace lathe::app
