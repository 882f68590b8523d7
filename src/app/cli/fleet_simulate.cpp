// lathe fleet simulate: a fleet that computes nothing, under a made-up clock.
#include "app/cli/fleet.h"
#include "app/simulate/fleet_simulation.h"

namespace lathe::app {
namespace {

Json to_json(const SimulatedFleet& fleet, const SimulationReport& report) {
  Json calls = Json::object();
  for (std::size_t rung = 0; rung < kSimulatedRungs.size(); ++rung)
    calls[std::string(kSimulatedRungs[rung])] = report.calls[rung];
  return {{"nodes", fleet.nodes},      {"units", fleet.units},
          {"seed", fleet.seed},        {"failures", fleet.failures},
          {"passed", report.passed},   {"exhausted", report.exhausted},
          {"failed", report.failed},   {"lost", report.lost},
          {"twice", report.twice},     {"trespassed", report.trespassed},
          {"leases", report.leases},   {"copies", report.copies},
          {"stale", report.stale},     {"deaths", report.deaths},
          {"sleeps", report.sleeps},   {"calls", std::move(calls)},
          {"seconds", report.seconds}, {"throughput", report.throughput},
          {"bound", report.bound}};
}

void show(const SimulatedFleet& fleet, const SimulationReport& report) {
  print(fmt::format("{} nodes, {} units, seed {}, the node fails at {}% of the leases\n",
                    fleet.nodes, fleet.units, fleet.seed, 100 * fleet.failures));
  print(fmt::format(
      "units    {} passed, {} failed before the judges on every rung, {} given up for failing "
      "nodes, {} lost\n",
      report.passed, report.exhausted, report.failed, report.lost));
  print(
      fmt::format("leases   {}: {} copies of slow units, {} completions too late, {} counted "
                  "twice, {} beyond a label\n",
                  report.leases, report.copies, report.stale, report.twice, report.trespassed));
  print(fmt::format("nodes    died {} times and slept {} times\n", report.deaths, report.sleeps));
  std::string calls;
  for (std::size_t rung = 0; rung < kSimulatedRungs.size(); ++rung)
    calls += fmt::format("{}{} {}", calls.empty() ? "" : ", ", kSimulatedRungs[rung],
                         report.calls[rung]);
  print(fmt::format("calls    {}\n", calls));
  print(fmt::format("time     {:.0f} s of the made-up clock\n", report.seconds));
  print(fmt::format("rate     {:.2f} calls a second, {:.1f}% of the bound of {:.2f}\n",
                    report.throughput,
                    report.bound > 0 ? 100 * report.throughput / report.bound : 0, report.bound));
}

int simulate(const App& app, const SimulatedFleet& fleet) {
  const auto report = simulate_fleet(fleet);
  if (!report) return report_error(app, report.error());
  if (app.json)
    print_json(to_json(fleet, *report));
  else
    show(fleet, *report);
  const bool sound = report->lost == 0 && report->twice == 0 && report->trespassed == 0;
  return sound ? kExitPassed : kExitFailed;
}

}  // namespace

void add_fleet_simulate(CLI::App& fleet, App& app, Action& action) {
  auto wanted = std::make_shared<SimulatedFleet>();
  CLI::App* command =
      fleet.add_subcommand("simulate", "Try the routing and the leases on a fleet that is made up");
  command->add_option("--nodes", wanted->nodes, "How many nodes")->capture_default_str();
  command->add_option("--units", wanted->units, "How many units of work")->capture_default_str();
  command->add_option("--seed", wanted->seed, "The same seed gives the same numbers")
      ->capture_default_str();
  command
      ->add_option("--failures", wanted->failures,
                   "The part of the leases whose node dies or falls asleep")
      ->capture_default_str();
  command->callback(
      [&app, &action, wanted] { action = [&app, wanted] { return simulate(app, *wanted); }; });
}

}  // namespace lathe::app
