// lathe fleet run PLAN.toml: tasks made and judged, several at once, put together and judged again.
// lathe fleet resume PLAN: go on with one that was stopped. lathe fleet show PLAN: how far it is.
#include <unistd.h>

#include <iostream>
#include <thread>

#include "app/cli/drive.h"
#include "app/cli/fleet.h"
#include "app/cli/fleet_watch.h"
#include "app/cli/journals.h"
#include "app/cli/opened_run.h"
#include "app/cli/output_file.h"
#include "app/cli/outputs.h"
#include "app/cli/plans.h"
#include "app/cli/retention.h"
#include "books/sqlite/open_leases.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "loop/orders/leased_calls.h"
#include "loop/plan/drive.h"
#include "loop/plan/recipes.h"
#include "loop/terms/write_rule.h"

namespace lathe::app {
namespace {

constexpr const char* kThisBox = "here";

struct FleetFlags {
  std::string plan;  // a file, or the id of one that was begun
  std::string input = ".", out;
  bool no_apply = false, force = false, yes = false;
  int max_parallel = 0;  // 0: as many as there are cores, or calls over a fleet
  DriveFlags drive;
};

// The label of a plan that a bench is for, and the benches that there are.
class Benches {
 public:
  Benches(const App& app, const DriveFlags& flags) : app_(app), flags_(flags) {}

  Result<const DriveSetup*> setup(Reach label) {
    std::unique_ptr<DriveSetup>& setup = setups_[label];
    if (!setup) {
      LATHE_TRY(setup, DriveSetup::make(app_, flags_, label, nullptr));
    }
    return setup.get();
  }

  FleetTraffic traffic() const {
    FleetTraffic sum;
    for (const auto& [label, setup] : setups_) {
      sum.sent += setup->traffic().sent;
      sum.received += setup->traffic().received;
    }
    return sum;
  }

 private:
  const App& app_;
  const DriveFlags& flags_;
  std::map<Reach, std::unique_ptr<DriveSetup>> setups_;
};

// Who may be asked for tasks: the workers that are given, else all that are known here, and those
// of the fleet's nodes; but not those that judges ask.
std::vector<std::string> rungs_of(const loop::Plan& plan, const FleetFlags& flags,
                                  const DriveSetup& setup, const std::set<std::string>& away) {
  std::vector<std::string> names;
  for (const std::string& spec : flags.drive.workers.specs)
    names.push_back(spec.substr(0, spec.find('=')));
  if (names.empty()) names = setup.workers();
  for (const std::string& name : away)
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  for (const auto& [ref, judge] : plan.judges)
    std::erase(names, json_string(judge.table, "worker"));
  return names;
}

// The workers of the fleet's nodes; none where no fleet is asked.
Result<std::set<std::string>> workers_away(const FleetAccess* fleet) {
  if (fleet == nullptr) return std::set<std::string>();
  LATHE_TRY(const auto store, fleet->leases());
  LATHE_TRY(const std::vector<books::NodeRow> nodes, store->nodes());
  return loop::workers_of(nodes, system_clock().unix_ms());
}

void print_news(const App& app, const loop::PlanNews& news) {
  using Kind = loop::PlanNews::Kind;
  constexpr std::string_view kWords[] = {"begun", "goes on", "ended", "stale", "waits"};
  const std::string_view what = kWords[static_cast<std::size_t>(news.kind)];
  if (app.json) {
    Json json = {{"kind", "part"}, {"part", news.part}, {"run", news.run}, {"what", what}};
    if (news.kind == Kind::kEnded) {
      json["state"] = part_state_name(news.state);
      json["why"] = news.why;
    }
    if (news.kind == Kind::kWaits) json["why"] = news.why;
    if (!news.left_out.empty()) json["left_out"] = news.left_out;
    print_json(json);
    return;
  }
  for (const std::string& each : news.left_out)
    print(fmt::format("  {}: not asked: {}\n", news.part, each));
  print(news.kind == Kind::kEnded ? fmt::format("  {}: {}: {} ({})\n", news.part,
                                                part_state_name(news.state), news.why, news.run)
                                  : fmt::format("  {}: {} ({})\n", news.part, what, news.run));
}

int exit_code_of(const loop::PlanStand& stand) {
  if (!stand.ended) return kExitStopped;
  if (*stand.ended == loop::RunResult::kPassed) return kExitPassed;
  return *stand.ended == loop::RunResult::kNotJudged ? kExitNotJudged : kExitFailed;
}

// A path that some task may write.
Status allowed_by(const loop::Plan& plan, const std::string& path) {
  Status refused = invalid("'{}' is of no task", path);
  for (const loop::PlanTask& task : plan.tasks)
    if (refused = loop::WriteRule{task.writes, plan.protect}.allows(path); refused) return {};
  return refused;
}

// As a loop leaves changes of a tree: the files where all passed, and a patch in any case.
Status leave_merge(const App& app, const loop::PlanHead& head, const loop::PlanStand& stand) {
  if (stand.merge.run.empty()) return {};
  LATHE_TRY(const OpenedRun merge, open_run(app, stand.merge.run));
  const bool apply =
      stand.ended == loop::RunResult::kPassed && json_bool(head.extra, "apply", true);
  if (apply) {
    LATHE_TRY(const auto changed,
              apply_to_tree(merge.journal, merge.state,
                            [&](const std::string& path) { return allowed_by(head.plan, path); }));
    if (app.json)
      print_json({{"kind", "applied"}, {"files", changed}});
    else
      print(fmt::format("changed in {}: {}\n", head.base.root, join(changed, ", ")));
  }
  const std::string given = json_string(head.extra, "out");
  LATHE_TRY(OutputDirectory out,
            OutputDirectory::open(given.empty() ? fs::path(kOutputs) / head.id : fs::path(given),
                                  json_bool(head.extra, "force", false)));
  LATHE_TRY(const std::string patch, write_patch(merge.journal, merge.state, out));
  LATHE_TRY_STATUS(out.finish());
  if (patch.empty()) return {};
  if (app.json)
    print_json({{"kind", "written"}, {"files", Json::array({patch})}});
  else if (apply)
    print(fmt::format("the same as a patch: {}\n", patch));
  else
    print(fmt::format("{} holds the changes, which are not applied: `git apply` takes them in {}\n",
                      patch, head.base.root));
  return {};
}

void print_stand(const App& app, const loop::PlanHead& head, const loop::PlanStand& stand) {
  const std::string outcome = stand.ended ? result_text(*stand.ended) : "stopped";
  if (app.json) {
    print_json({{"kind", "plan_end"}, {"plan", head.id}, {"state", outcome}, {"why", stand.why}});
    return;
  }
  if (stand.ended) print(fmt::format("{}: {}\n", outcome, stand.why));
  if (!stand.ended || *stand.ended == loop::RunResult::kNotJudged)
    print(fmt::format("lathe fleet resume {} {}\n", head.id,
                      stand.ended ? "tries what was not judged again" : "goes on"));
}

Result<loop::PlanStand> carry_out(const App& app, books::Journal& journal,
                                  const loop::PlanHead& head, std::vector<loop::PartRun> runs,
                                  FleetFlags flags) {
  // The calls of all tasks together: one a core here, more over a fleet, unless said otherwise.
  const int calls = flags.drive.fleet ? kCallsOfFleet : cores();
  const int most = flags.max_parallel > 0 ? flags.max_parallel : calls;
  if (flags.drive.parallel == 0) flags.drive.parallel = std::max(1, calls / most);
  Benches benches(app, flags.drive);
  LATHE_TRY(const DriveSetup* strictest,
            benches.setup(loop::strictest_label(head.plan, head.rules)));
  LATHE_TRY(const auto leases, books::open_leases(app.journal_dir));
  LATHE_TRY(loop::TakeHistory history, loop::read_history(journal));
  LATHE_TRY(const std::set<std::string> away, workers_away(strictest->fleet()));
  loop::PlanBench bench{.journal = [&app] { return open_journal(app); },
                        .bench = [&benches](Reach label) -> Result<const loop::Bench*> {
                          LATHE_TRY(const DriveSetup* setup, benches.setup(label));
                          return &setup->bench();
                        },
                        .leases = *leases,
                        .node = kThisBox,
                        .rungs = rungs_of(head.plan, flags, *strictest, away),
                        .history = std::move(history),
                        .rungs_away = away,
                        .max_parallel = most,
                        .clock = system_clock(),
                        .stop = *app.stop,
                        .news = [&app](const loop::PlanNews& news) { print_news(app, news); }};
  for (const auto& [name, room] : strictest->rooms())
    bench.memory[name] = {.takes = room.takes, .has = room.has};
  // With a fleet this machine is a node for each of the plan's runs.
  if (flags.drive.fleet)
    bench.beside = [&](Reach label, const std::string& run) -> Result<std::shared_ptr<void>> {
      LATHE_TRY(const DriveSetup* setup, benches.setup(label));
      LATHE_TRY(auto watch, FleetWatch::start(app, *setup, run, std::max(1, cores() / most)));
      return std::shared_ptr<void>(std::move(watch));
    };
  auto stand = loop::drive_plan(journal, head, std::move(runs), bench);
  if (flags.drive.fleet) print_traffic(app, benches.traffic());
  return stand;
}

int carry_out_and_finish(const App& app, books::Journal& journal, const loop::PlanHead& head,
                         std::vector<loop::PartRun> runs, const FleetFlags& flags) {
  const auto stand = carry_out(app, journal, head, std::move(runs), flags);
  if (!stand) {
    const int code = report_error(app, stand.error());
    if (!app.json && loop::find_plan(journal, head.id))
      print(fmt::format("what is done so far is kept: lathe fleet resume {}\n", head.id));
    return code;
  }
  print_stand(app, head, *stand);
  if (stand->ended)
    if (auto left = leave_merge(app, head, *stand); !left) return report_error(app, left.error());
  return exit_code_of(*stand);
}

bool agreed(const App& app, const FleetFlags& flags) {
  if (flags.yes || app.json || !app.terminal || ::isatty(STDIN_FILENO) != 1) return true;
  print("begin? [y/N] ");
  std::fflush(stdout);
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

int run_fleet(const App& app, const FleetFlags& flags) {
  auto plan = read_plan(flags.plan, flags.input);
  if (!plan) return report_error(app, plan.error());
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  if (auto kept = erase_old_runs(app, *journal); !kept) return report_error(app, kept.error());
  if (!flags.out.empty())
    if (const auto out = OutputDirectory::open(flags.out, flags.force); !out)
      return report_error(app, out.error());
  const auto history = loop::read_history(*journal);
  if (!history) return report_error(app, history.error());
  if (!app.json) print_tasks(*plan, loop::forecast_of(*plan, *history));
  if (!agreed(app, flags)) return kExitStopped;
  std::error_code ignored;
  Json extra = {{"out", flags.out.empty() ? "" : fs::absolute(flags.out, ignored).string()},
                {"force", flags.force},
                {"apply", !flags.no_apply},
                {"workers", flags.drive.workers.specs},
                {"allow", flags.drive.workers.allow}};
  if (flags.drive.fleet) extra["fleet"] = true;
  const fs::path directory = fs::absolute(flags.plan, ignored).parent_path();
  const auto head = loop::begin_plan(*journal, *std::move(plan), plan_rules(flags.input),
                                     flags.input, directory, std::move(extra), system_clock());
  if (!head) return report_error(app, head.error());
  if (app.json)
    print_json({{"kind", "plan"}, {"plan", head->id}, {"sha256", head->plan.sha256}});
  else
    print(fmt::format("plan {}\n", head->id));
  return carry_out_and_finish(app, *journal, *head, {}, flags);
}

int resume_fleet(const App& app, FleetFlags flags) {
  auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  auto found = loop::find_plan(*journal, flags.plan);
  if (!found) return report_error(app, found.error());
  loop::RunBegun header;
  header.extra = found->head.extra;
  workers_of_run(header, flags.drive.workers);
  flags.drive.fleet |= json_bool(header.extra, "fleet", false);
  if (!app.json) print(fmt::format("plan {}\n", found->head.id));
  return carry_out_and_finish(app, *journal, found->head, std::move(found->runs), flags);
}

int show_fleet(const App& app, const FleetFlags& flags) {
  const auto journal = open_journal(app);
  if (!journal) return report_error(app, journal.error());
  const auto found = loop::find_plan(*journal, flags.plan);
  if (!found) return report_error(app, found.error());
  const loop::PlanStand stand = stand_of(found->head.plan, found->head.rules, found->runs);
  const auto show = [&](const std::string& name, const loop::PartStand& part) {
    if (app.json) {
      Json json = part_json(part);
      json["kind"] = "part";
      json["part"] = name;
      print_json(json);
    } else {
      print(fmt::format("  {:<20} {:<10} {}{}\n", name, part_state_name(part.state), part.why,
                        part.run.empty() ? "" : " (" + part.run + ")"));
    }
  };
  if (!app.json) print(fmt::format("plan {}: {}\n", found->head.id, found->head.plan.goal));
  for (const std::size_t task : found->head.plan.order)
    show(found->head.plan.tasks[task].id, stand.tasks[task]);
  show("merge", stand.merge);
  print_stand(app, found->head, stand);
  return exit_code_of(stand);
}

void add_carry_out_flags(CLI::App& command, FleetFlags& flags) {
  command
      .add_option("--max-parallel", flags.max_parallel,
                  "Tasks at once (default: one per core, 12 over a fleet)")
      ->check(CLI::Range(1, static_cast<int>(loop::kMaxTasks)));
  add_drive_flags(command, flags.drive);
  add_fleet_flag(command, flags.drive);
}

}  // namespace

void add_fleet_run(CLI::App& fleet, App& app, Action& action) {
  auto begun = std::make_shared<FleetFlags>();
  CLI::App* run = fleet.add_subcommand("run", "Carry a plan out: make, judge, put together, judge");
  run->add_option("plan", begun->plan, "The plan's file")->required();
  run->add_option("--input", begun->input, "The source tree (default: the working directory)");
  run->add_option("--out", begun->out, "Directory for the patch (default: lathe-out/PLAN)");
  add_force_flag(*run, begun->force);
  run->add_flag("--no-apply", begun->no_apply, "Do not write passed changes into the source tree");
  run->add_flag("--yes", begun->yes, "Begin without asking");
  add_carry_out_flags(*run, *begun);
  run->callback(
      [&app, &action, begun] { action = [&app, begun] { return run_fleet(app, *begun); }; });

  auto resumed = std::make_shared<FleetFlags>();
  CLI::App* resume = fleet.add_subcommand("resume", "Go on with a plan that was stopped");
  resume->add_option("plan", resumed->plan, "Its id, the beginning of it, or \"last\"")->required();
  add_carry_out_flags(*resume, *resumed);
  resume->callback([&app, &action, resumed] {
    action = [&app, resumed] { return resume_fleet(app, *resumed); };
  });

  auto shown = std::make_shared<FleetFlags>();
  CLI::App* show = fleet.add_subcommand("show", "Say how far a plan is");
  show->add_option("plan", shown->plan, "Its id, the beginning of it, or \"last\"")->required();
  show->callback(
      [&app, &action, shown] { action = [&app, shown] { return show_fleet(app, *shown); }; });
}

}  // namespace lathe::app
