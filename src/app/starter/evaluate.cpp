// The frozen evaluation: tasks that training never sees, with feedback and without.
#include "app/starter/evaluate.h"

#include "ground/base/hash.h"
#include "loop/judges/calibration.h"

namespace lathe::app {
namespace {

// What a way to work had reached after each lap, over all runs of a group.
struct Curve {
  std::vector<double> hidden, tokens, completion;  // by lap
  double runs = 0;
  double visible = 0, wrong = 0;  // at the end: passed the visible tests; … but not the hidden

  explicit Curve(int laps)
      : hidden(static_cast<std::size_t>(laps)), tokens(hidden.size()), completion(hidden.size()) {}

  void add(const std::vector<PlayedLap>& played) {
    for (std::size_t lap = 0; lap < hidden.size(); ++lap) {
      const PlayedLap& at = played[std::min(lap, played.size() - 1)];
      hidden[lap] += at.hidden;
      tokens[lap] += static_cast<double>(at.tokens);
      completion[lap] += static_cast<double>(at.completion);
    }
    ++runs;
    visible += played.back().visible;
    wrong += played.back().visible && !played.back().hidden;
  }
  double rate(std::size_t lap) const { return hidden[lap] / runs; }
  // The rate where `cost` reached a value, between laps in proportion.
  double rate_at(const std::vector<double>& cost, double value) const {
    for (std::size_t lap = 0; lap < cost.size(); ++lap) {
      if (cost[lap] < value) continue;
      if (lap == 0 || cost[lap] == cost[lap - 1]) return rate(lap);
      const double part = (value - cost[lap - 1]) / (cost[lap] - cost[lap - 1]);
      return rate(lap - 1) + part * (rate(lap) - rate(lap - 1));
    }
    return rate(cost.size() - 1);
  }
  bool covers(const std::vector<double>& cost, double value) const { return cost.back() >= value; }
};

std::string curve_table(std::string_view name, std::size_t tasks, const Curve& loop,
                        const Curve& control) {
  const auto n = static_cast<double>(tasks);
  std::string out = fmt::format("\n{}: {} tasks\n", name, tasks);
  out +=
      "  lap   with feedback            resampled, equal tokens   … equal written tokens   "
      "tokens a task\n";
  for (std::size_t lap = 0; lap < loop.hidden.size(); ++lap) {
    const double rate = loop.rate(lap);
    // Of tasks, not of runs: seeds of one task are no independent evidence.
    const loop::Interval with = loop::wilson(rate * n, n);
    const auto cell = [&](const std::vector<double>& cost, double value) {
      return fmt::format("{:5.1f} %{}", 100 * control.rate_at(cost, value),
                         control.covers(cost, value) ? "   " : " +?");
    };
    out += fmt::format(
        "  {:>3}   {:5.1f} % [{:4.1f}, {:4.1f}]     {}                {}               {:6.0f}\n",
        lap + 1, 100 * rate, 100 * with.low, 100 * with.high,
        cell(control.tokens, loop.tokens[lap]), cell(control.completion, loop.completion[lap]),
        loop.tokens[lap] / loop.runs);
  }
  out += fmt::format(
      "  of {} samples without feedback one passes, and the first that passes is right: {:.1f} %\n"
      "  passed the visible tests, but not the hidden: {:.1f} % of those accepted with feedback, "
      "{:.1f} % without\n",
      control.hidden.size(), 100 * control.rate(control.hidden.size() - 1),
      loop.visible > 0 ? 100 * loop.wrong / loop.visible : 0,
      control.visible > 0 ? 100 * control.wrong / control.visible : 0);
  return out;
}

}  // namespace

std::vector<TaskGroup> frozen_tasks(std::size_t count, std::uint64_t seed) {
  struct Kind {
    std::string_view name;
    Split split;
    std::vector<int> depths;
  };
  const Kind kinds[] = {{"one or two idioms, unseen functions", Split::kUnseen, {1, 2, 2, 2}},
                        {"two idioms, unseen pairs", Split::kPairs, {2}},
                        {"hard: three idioms, unseen functions", Split::kUnseen, {3}},
                        {"hard: three idioms, unseen pairs", Split::kPairs, {3}}};
  std::vector<TaskGroup> groups;
  for (const Kind& kind : kinds) {
    // A group of its own seed: its size does not change the others.
    Random random(hash_text(kind.name, seed));
    TaskGroup& group = groups.emplace_back();
    group.name = kind.name;
    for (std::size_t i = 0; i < count; ++i) {
      DrawnTask drawn = draw_task(random, kind.split, random.pick(kind.depths), i % 2 == 0);
      drawn.task.id = fmt::format("{}-{:03}", groups.size(), i + 1);
      group.tasks.push_back(std::move(drawn));
    }
  }
  return groups;
}

std::string digest_of(std::span<const TaskGroup> groups) {
  std::string all;
  for (const TaskGroup& group : groups)
    for (const DrawnTask& drawn : group.tasks) all += dump_json(to_json(drawn.task)) + drawn.gold;
  return sha256_hex(all);
}

Result<std::string> evaluate(const EvaluateOptions& options) {
  LATHE_TRY(const auto player, Player::open(options.model, options.threads));
  if (options.temperature) player->set_temperature(*options.temperature);
  const std::vector<TaskGroup> groups = frozen_tasks(options.count, options.tasks_seed);
  LATHE_TRY(const std::string model, sha256_file(options.model));
  std::string out = fmt::format(
      "model {} (sha256 {}), tasks {}, {} seeds; hidden tests passed, 95 % intervals (Wilson)\n",
      options.model.filename().string(), model.substr(0, 12), digest_of(groups).substr(0, 12),
      options.seeds);
  Curve all_loops(options.laps), all_controls(options.samples);
  for (const TaskGroup& group : groups) {
    const std::size_t runs = group.tasks.size() * static_cast<std::size_t>(options.seeds);
    std::vector<std::vector<PlayedLap>> with(runs), without(runs);
    LATHE_TRY_STATUS(in_parallel(runs, options.at_once, [&](std::size_t run) -> Status {
      const loop::MiniTask& task = group.tasks[run % group.tasks.size()].task;
      const std::uint64_t seed = run / group.tasks.size();
      LATHE_TRY(with[run], player->play(task, options.laps, true, seed, options.best_of));
      LATHE_TRY(without[run], player->play(task, options.samples, false, seed));
      return {};
    }));
    Curve loop(options.laps), control(options.samples);
    for (const auto& played : with) loop.add(played), all_loops.add(played);
    for (const auto& played : without) control.add(played), all_controls.add(played);
    out += curve_table(group.name, group.tasks.size(), loop, control);
  }
  return out + curve_table("all four", groups.size() * options.count, all_loops, all_controls);
}

}  // namespace lathe::app
