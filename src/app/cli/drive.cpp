#include "app/cli/drive.h"

#include <thread>

#include "app/cli/outputs.h"
#include "app/cli/view.h"
#include "ground/base/text.h"
#include "loop/media/media_pool.h"

namespace lathe {

void add_drive_flags(CLI::App& command, DriveFlags& flags) {
  add_worker_flags(command, flags.workers);
  command.add_option("--parallel", flags.parallel, "Calls at once (default: one per core)")
      ->check(CLI::Range(1, 256));
  command.add_flag("--unsafe-no-sandbox", flags.unsafe_no_sandbox,
                   "Run generated code without a sandbox: it can do whatever you can");
}

std::string build_name() {
  return "lathe " LATHE_VERSION;
}

Result<std::unique_ptr<DriveSetup>> DriveSetup::make(const App& app, const DriveFlags& flags,
                                                     Reach privacy, Observer* observer) {
  auto setup = std::make_unique<DriveSetup>();
  LATHE_TRY(setup->workers_, WorkerTable::make(app, flags.workers, privacy));
  const int parallel = flags.parallel > 0
                           ? flags.parallel
                           : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  setup->bench_.emplace(Bench{
      .program = app.program,
      .unsafe_no_sandbox = flags.unsafe_no_sandbox,
      .parallel = parallel,
      .build = build_name(),
      .media = std::make_shared<MediaPool>(app.program, parallel),
      .worker = [table = &setup->workers_](const std::string& name) { return table->find(name); },
      .joules = [meter = &setup->meter_] { return meter->joules(); },
      .energy = {{"scope", scope_name(setup->meter_.scope())},
                 {"source", setup->meter_.description()}},
      .clock = system_clock(),
      .stop = *app.stop,
      .observer = observer,
  });
  return setup;
}

int exit_code_of(const RunState& state) {
  if (!state.ended) return kExitStopped;
  if (state.end_state == "passed") return kExitPassed;
  return state.end_state == "not_judged" ? kExitNotJudged : kExitFailed;
}

namespace {

Status leave_outputs(const App& app, const Journal& journal, const Run& run, MediaPool& media) {
  const RunState& state = run.state();
  const Json& extra = json_at(state.header, "extra");
  if (state.recipe.maker->whole_group) {
    if (state.end_state != "passed" || state.tracks.empty()) return {};
    if (!json_bool(extra, "apply", false)) {
      if (!app.json)
        print(fmt::format("the changes are in the journal: lathe export {} DIR\n", run.id()));
      return {};
    }
    LATHE_TRY(const auto changed, apply_to_tree(journal, state));
    if (app.json)
      print_json({{"kind", "applied"}, {"files", changed}});
    else
      print(fmt::format("changed in {}: {}\n", json_string(json_at(state.header, "tree"), "root"),
                        join(changed, ", ")));
    return {};
  }
  std::string out = json_string(extra, "out");
  if (out.empty()) out = "lathe-out/" + run.id();
  LATHE_TRY(const auto written, write_outputs(journal, state, out, media, *app.stop));
  if (app.json)
    print_json({{"kind", "written"}, {"files", written}});
  else
    print(fmt::format("{} files in {}\n", written.size(), out));
  return {};
}

}  // namespace

int drive_and_finish(const App& app, Journal& journal, Run& run, const Bench& bench, View& view) {
  const Status driven = run.drive();
  view.finish();
  if (!driven) {
    if (!app.json) print(fmt::format("what is done so far is kept: lathe resume {}\n", run.id()));
    return report_error(app, driven.error());
  }
  const RunState& state = run.state();
  if (!state.ended) {
    if (!app.json) print(fmt::format("stopped; lathe resume {} goes on\n", run.id()));
    return kExitStopped;
  }
  if (!app.json) {
    if (!app.color) {  // a terminal shows the table already
      for (const std::string& line : run_table(state, {140, 1 << 20, false})) print(line + "\n");
    }
    print(fmt::format("{}: {}\n", replace_all(state.end_state, "_", " "), state.end_why));
  }
  if (auto left = leave_outputs(app, journal, run, *bench.media); !left)
    return report_error(app, left.error());
  if (!app.json) print(fmt::format("lathe report {} writes it as a page\n", run.id()));
  return exit_code_of(state);
}

}  // namespace lathe
