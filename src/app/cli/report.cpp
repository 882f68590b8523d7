// lathe report RUN: the run as one self-contained page.
#include "app/cli/drive.h"
#include "app/cli/money.h"
#include "app/cli/opened_run.h"
#include "app/cli/output_file.h"
#include "app/cli/view.h"
#include "show/run/html.h"

namespace lathe::app {
namespace {

struct ReportFlags {
  bool force = false, cost = false;
  std::string run;
  std::string out;
  bool baseline = false;
  DriveFlags drive;
};

// The run that spends the loop's number of candidates on independent samples, one lap, no feedback.
// Made once per run.
Result<loop::RunState> baseline_of(const App& app, books::Journal& journal, const std::string& id,
                                   const loop::RunState& state, const DriveFlags& flags) {
  LATHE_TRY(const auto rows, journal.runs());
  for (const books::RunRow& row : rows) {
    if (row.state == "open") continue;
    LATHE_TRY(const auto records, journal.records(row.id));
    LATHE_TRY(const auto entries, loop::from_records(records));
    LATHE_TRY(loop::RunState other, loop::fold(entries));
    if (other.header.baseline_of() == id) return other;
  }
  std::size_t candidates = 0;
  for (const loop::Track& track : state.tracks)
    for (const loop::LapState& lap : track.laps) candidates += lap.candidates.size();
  const std::size_t tracks = std::max<std::size_t>(1, state.tracks.size());
  Json canonical = state.recipe.canonical;
  // Rounded up: what the loop is compared with may spend a little more, never less.
  canonical["make"]["best_of"] = std::min<std::size_t>(64, (candidates + tracks - 1) / tracks);
  canonical["stop"]["laps"] = 1;
  LATHE_TRY(const loop::Recipe recipe, loop::recipe_from_json(canonical));
  View view(app, flags.verbose);
  LATHE_TRY(const auto setup, DriveSetup::make(app, flags, recipe.privacy, &view));
  LATHE_TRY(loop::Run run,
            loop::Run::start_again(journal, state, recipe, {{"baseline_of", id}}, setup->bench()));
  if (!app.json)
    print(fmt::format("baseline run {}: best of {}, one lap\n", run.id(), recipe.best_of));
  LATHE_TRY_STATUS(run.drive());
  view.finish();
  if (!run.state().ended)
    return fail(ErrorKind::kCancelled, "stopped before the baseline had ended");
  return run.state();
}

// A report of any run: those are written over.
bool is_report(const fs::path& path) {
  const auto text = read_file(path);
  return text &&
         std::string_view(*text).substr(0, 1024).find(show::kReportMark) != std::string::npos;
}

// What it took, by the ledger.
Result<books::RunCost> cost_of(const App& app, const OpenedRun& opened) {
  const loop::RunState& state = opened.state;
  books::RunFacts facts;
  facts.units = static_cast<std::int64_t>(state.units.size());
  facts.accepted = static_cast<std::int64_t>(loop::run_outcome(state).passed);
  for (const loop::Track& track : state.tracks) {
    facts.laps += std::ssize(track.laps);
    for (const loop::LapState& lap : track.laps) facts.candidates += std::ssize(lap.candidates);
  }
  facts.working_ms = state.t_ms;
  facts.joules = state.joules;
  if (state.header.energy) facts.scope = state.header.energy->scope;
  std::vector<books::LedgerRow> rows;
  LATHE_TRY_STATUS(opened.journal.rows({.run = opened.id},
                                       [&](const books::LedgerRow& row) { rows.push_back(row); }));
  LATHE_TRY(const auto tables, load_prices(app));
  LATHE_TRY(const books::LocalPrices local, load_local_prices(app, opened.journal));
  return books::cost_of_run(facts, rows, local, tables);
}

int print_cost(const App& app, const OpenedRun& opened, const books::RunCost& cost) {
  if (app.json) {
    Json json = to_json(cost);
    json["run"] = opened.id;
    print_json(json);
    return kExitPassed;
  }
  print(opened.id + "\n");
  for (const std::string& line : books::cost_lines(cost)) print(line + "\n");
  return kExitPassed;
}

int report(const App& app, ReportFlags flags) {
  auto opened = open_run(app, flags.run);
  if (!opened) return report_error(app, opened.error());
  const auto& [journal, id, entries, state] = *opened;
  const auto cost = cost_of(app, *opened);
  if (!cost) return report_error(app, cost.error());
  if (flags.cost) return print_cost(app, *opened, *cost);
  const fs::path out = flags.out.empty() ? fs::path(id + ".html") : fs::path(flags.out);
  if (const Status fine = is_report(out) ? Status() : check_output(out, {}, flags.force); !fine)
    return report_error(app, fine.error());
  std::optional<loop::RunState> baseline;
  if (flags.baseline) {
    for (const Json& spec : json_at(state.header.extra, "workers"))
      if (spec.is_string()) flags.drive.workers.specs.push_back(spec);
    auto other = baseline_of(app, opened->journal, id, state, flags.drive);
    if (!other) return report_error(app, other.error());
    baseline = *std::move(other);
  }
  std::optional<show::RunView> other;
  if (baseline) other = show::view_of(*baseline, {});
  show::RunView view = show::view_of(state, entries);
  view.account = books::cost_lines(*cost);
  const auto html = show::html_page(journal, id, view, other ? &*other : nullptr);
  if (!html) return report_error(app, html.error());
  if (auto written = write_file_atomic(out, *html); !written)
    return report_error(app, written.error());
  std::error_code ignored;
  const std::string path = fs::absolute(out, ignored).lexically_normal().string();
  if (app.json)
    print_json({{"run", id}, {"report", path}, {"bytes", html->size()}});
  else
    print("report: " + path + "\n");
  return kExitPassed;
}

}  // namespace

void add_report(CLI::App& cli, App& app, Action& action) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* command = cli.add_subcommand("report", "Write a run as one self-contained HTML page");
  command->add_option("run", flags->run, "Its id, the beginning of it, or \"last\"")->required();
  command->add_option("--out", flags->out, "The file to write (default: RUN.html)");
  add_force_flag(*command, flags->force);
  command->add_flag("--cost", flags->cost,
                    "Print what it took, and what an accepted take of it took, instead");
  command->add_flag("--baseline", flags->baseline,
                    "Also spend the same number of candidates without a loop, and compare");
  add_drive_flags(*command, flags->drive);
  command->callback(
      [&app, &action, flags] { action = [&app, flags] { return report(app, *flags); }; });
}

}  // namespace lathe::app
