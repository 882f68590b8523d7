// Drives a run from the command line to its end, and leaves its outputs.
#include "app/cli/drive.h"

#include "app/cli/hold.h"
#include "app/cli/money.h"
#include "app/cli/output_file.h"

#include <atomic>
#include <thread>

#include "app/cli/outputs.h"
#include "app/cli/remember.h"
#include "app/cli/view.h"
#include "ground/base/plural.h"
#include "ground/base/text.h"
#include "ground/base/units.h"
#include "ground/base/version.h"
#include "loop/orders/leased_calls.h"
#include "loop/senses/media_pool.h"
#include "loop/terms/write_rule.h"
#include "show/run/caveats.h"

namespace lathe::app {

void add_drive_flags(CLI::App& command, DriveFlags& flags) {
  add_worker_flags(command, flags.workers);
  command.add_option("--parallel", flags.parallel, "Calls at once (default: one per core)")
      ->check(CLI::Range(1, 256));
  command.add_flag("--unsafe-no-sandbox", flags.unsafe_no_sandbox,
                   "Run generated code without a sandbox: it can do whatever you can");
  command.add_flag("-v,--verbose", flags.verbose, "Show what tests and judged programs print");
}

void workers_of_run(const loop::RunBegun& header, WorkerFlags& flags) {
  if (flags.specs.empty())
    for (const Json& spec : json_at(header.extra, "workers"))
      if (spec.is_string()) flags.specs.push_back(spec);
  if (flags.allow == "local") flags.allow = json_string(header.extra, "allow", "local");
}

int cores() {
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::string build_name() {
  return fmt::format("lathe {}", program_version());
}

void add_fleet_flag(CLI::App& command, DriveFlags& flags) {
  command.add_flag("--fleet", flags.fleet,
                   "Let the nodes of the fleet make and judge, this machine among them");
}

class CountedBlobs final : public loop::OrderBlobs {
 public:
  explicit CountedBlobs(std::unique_ptr<loop::OrderBlobs> blobs) : blobs_(std::move(blobs)) {}
  Result<std::string> put(std::string_view bytes, const StopFlag& stop) override {
    sent_ += bytes.size();
    return blobs_->put(bytes, stop);
  }
  Status fetch(const std::string& sha256, std::uint64_t max_bytes, const StopFlag& stop,
               const Take& take) override {
    return blobs_->fetch(sha256, max_bytes, stop, [&](std::uint64_t at, std::string_view piece) {
      received_ += piece.size();
      return take(at, piece);
    });
  }
  FleetTraffic traffic() const { return {sent_, received_}; }

 private:
  std::unique_ptr<loop::OrderBlobs> blobs_;
  std::atomic<std::uint64_t> sent_ = 0, received_ = 0;
};

DriveSetup::DriveSetup() = default;
DriveSetup::~DriveSetup() = default;

FleetTraffic DriveSetup::traffic() const {
  return blobs_ ? blobs_->traffic() : FleetTraffic();
}

void print_traffic(const App& app, const FleetTraffic& traffic) {
  if (app.json)
    print_json({{"kind", "traffic"}, {"sent", traffic.sent}, {"received", traffic.received}});
  else
    print(fmt::format("over the fleet: {} sent, {} back\n", format_bytes(traffic.sent),
                      format_bytes(traffic.received)));
}

namespace {

// Before anything is sent there.
Status check_fleet(const FleetAccess& fleet, Reach allowed) {
  if (!fleet.own)
    return fail(ErrorKind::kDenied,
                "this machine was invited to the fleet: it takes work and makes none; begin the "
                "run where `lathe fleet init` was, {}",
                fleet.place);
  if (fleet.reach > allowed)
    return fail(ErrorKind::kDenied,
                "the fleet's database, {}, is farther away than --allow {} lets anything go; give "
                "--allow {} if what the run sends its nodes may lie there",
                fleet.place, reach_name(allowed), reach_name(fleet.reach));
  return {};
}

// Work in the background that computes here has nobody else to make it give way.
std::function<std::string(const std::set<loop::PauseReason>&)> hold_of(const App& app,
                                                                       bool gives_way) {
  return [here = hold_here(app), gives_way](std::set<loop::PauseReason> when) {
    if (gives_way) when.insert(loop::PauseReason::kPerson);
    return when.empty() ? std::string() : here(when);
  };
}

}  // namespace

Result<std::unique_ptr<DriveSetup>> DriveSetup::make(const App& app, const DriveFlags& flags,
                                                     Reach privacy, loop::Observer* observer) {
  auto setup = std::make_unique<DriveSetup>();
  const auto alone = [observer](const std::function<void()>& work) {
    observer ? observer->alone(work) : work();
  };
  LATHE_TRY(setup->workers_, WorkerTable::make(app, flags.workers, privacy, alone, &setup->notes_));
  LATHE_TRY(std::vector<books::PriceTable> prices, load_prices(app));
  LATHE_TRY(serve::ConsentGate consent, consent_gate_of(app, flags.workers.consent_wait, alone));
  setup->tools_.emplace(
      app, ToolDesk::Options{.unsafe_no_sandbox = flags.unsafe_no_sandbox,
                             .most = parse_reach(flags.workers.allow).value_or(Reach::kLocal),
                             .alone = alone,
                             .consent = std::move(consent)});
  if (flags.fleet) {
    LATHE_TRY(setup->fleet_, fleet_access(app));
    const Reach allowed = parse_reach(flags.workers.allow).value_or(Reach::kLocal);
    LATHE_TRY_STATUS(check_fleet(*setup->fleet_, allowed));
    LATHE_TRY(auto blobs, setup->fleet_->blobs());
    setup->blobs_ = std::make_unique<CountedBlobs>(std::move(blobs));
    setup->elsewhere_ = loop::leased_calls({.open = setup->fleet_->leases,
                                            .blobs = *setup->blobs_,
                                            .home = setup->fleet_->node,
                                            .all = true,
                                            .reach = allowed});
  }
  // What other machines do costs this one nothing but a thread that waits.
  const bool others =
      flags.fleet &&
      std::min(privacy, parse_reach(flags.workers.allow).value_or(Reach::kLocal)) != Reach::kLocal;
  const int parallel = flags.parallel > 0 ? flags.parallel : others ? kCallsOfFleet : cores();
  setup->bench_.emplace(loop::Bench{
      .program = app.program,
      .unsafe_no_sandbox = flags.unsafe_no_sandbox,
      .parallel = parallel,
      .build = build_name(),
      .media = std::make_shared<loop::MediaPool>(app.program, parallel),
      .worker = [table = &setup->workers_](const std::string& name) { return table->find(name); },
      .joules = [meter = &setup->meter_] { return meter->joules(); },
      .energy = loop::EnergySource{std::string(scope_name(setup->meter_.scope())),
                                   std::string(setup->meter_.description())},
      .hold = hold_of(app, flags.workers.background && setup->workers_.computes_here()),
      .celsius = [] { return read_climate().celsius; },
      .clock = system_clock(),
      .stop = *app.stop,
      .observer = observer,
      .prices = std::move(prices),
      .tools = [desk = &*setup->tools_](std::span<const ToolServer> servers, const StopFlag& stop)
          -> Result<std::unique_ptr<ForeignTools>> {
        LATHE_TRY(auto toolbox, desk->open(servers, stop));
        LATHE_TRY_STATUS(desk->settle(*toolbox, stop));
        return std::unique_ptr<ForeignTools>(std::move(toolbox));
      },
      .elsewhere = setup->elsewhere_.get(),
      .notes = &setup->notes_,
  });
  return setup;
}

int exit_code_of(const loop::RunState& state) {
  if (!state.ended) return kExitStopped;
  if (state.end_state == loop::RunResult::kPassed) return kExitPassed;
  return state.end_state == loop::RunResult::kNotJudged ? kExitNotJudged : kExitFailed;
}

namespace {

fs::path out_directory(const loop::Run& run) {
  const std::string out = json_string(run.state().header.extra, "out");
  if (!out.empty()) return out;
  return fs::path(json_string(run.state().header.extra, "out_root", kOutputs)) / run.id();
}

// --force of the command that began the run.
bool forced(const loop::Run& run) {
  return json_bool(run.state().header.extra, "force", false);
}

// Changes to a source tree: the files themselves where the run passed, and a patch in any case.
Status leave_changes(const App& app, const books::Journal& journal, const loop::Run& run) {
  const loop::RunState& state = run.state();
  const std::string root = state.header.tree ? state.header.tree->root : "";
  const bool apply =
      state.end_state == loop::RunResult::kPassed && json_bool(state.header.extra, "apply", false);
  Status applied;
  if (apply && !state.tracks.empty()) {
    const auto changed = apply_to_tree(journal, state,
                                       [rule = loop::WriteRule::of(state.recipe.make_options)](
                                           const std::string& path) { return rule.allows(path); });
    if (!changed)
      applied = std::unexpected(changed.error());
    else if (app.json)
      print_json({{"kind", "applied"}, {"files", *changed}});
    else
      print(fmt::format("changed in {}: {}\n", root, join(*changed, ", ")));
  }
  LATHE_TRY(OutputDirectory out, OutputDirectory::open(out_directory(run), forced(run)));
  LATHE_TRY(const std::string patch, write_patch(journal, state, out));
  LATHE_TRY_STATUS(out.finish());
  if (patch.empty()) return applied;
  if (app.json)
    print_json({{"kind", "written"}, {"files", Json::array({patch})}});
  else if (apply && applied)
    print(fmt::format("the same as a patch: {}\n", patch));
  else
    print(fmt::format("{} holds the changes, which are not applied: `git apply` takes them in {}\n",
                      patch, root));
  return applied;
}

Status leave_outputs(const App& app, const books::Journal& journal, const loop::Run& run,
                     const loop::Place& place) {
  const loop::RunState& state = run.state();
  if (state.recipe.maker->whole_group) return leave_changes(app, journal, run);
  LATHE_TRY(OutputDirectory out, OutputDirectory::open(out_directory(run), forced(run)));
  LATHE_TRY(const auto written, write_outputs(journal, state, out, place, *app.stop));
  LATHE_TRY_STATUS(out.finish());
  if (app.json) {
    print_json({{"kind", "written"}, {"files", written}});
    return {};
  }
  print(fmt::format("{} in {}\n", counted(written.size(), "file"), out.path().string()));
  const auto failed =
      static_cast<std::size_t>(std::ranges::count_if(state.tracks, [](const loop::Track& track) {
        return track.state != loop::TrackState::kPassed && loop::best_candidate(track);
      }));
  if (failed > 0 && !written.empty() && written.back().ends_with("narration.wav"))
    print(fmt::format("narration.wav is of every line, of {} too that did not pass\n", failed));
  return {};
}

// What judges that only advise could not say, once for each.
std::vector<std::string> missing_advice(const loop::RunState& state) {
  std::map<std::string, std::pair<int, std::string>> silent;
  const auto look = [&](const loop::JudgedBy& verdict) {
    const std::string why = why_no_advice(verdict.judgement);
    if (why.empty()) return;
    auto& [times, first] = silent[verdict.judge];
    if (++times == 1) first = why;
  };
  for (const loop::Track& track : state.tracks)
    for (const loop::LapState& lap : track.laps)
      for (const loop::CandidateState& candidate : lap.candidates)
        std::ranges::for_each(candidate.verdicts, look);
  std::ranges::for_each(state.whole, look);
  std::vector<std::string> notes;
  for (const auto& [judge, said] : silent)
    notes.push_back(fmt::format("'{}' gave no advice ({}×), which counts for nothing: {}", judge,
                                said.first, clip_utf8(make_valid_utf8(said.second), 300)));
  return notes;
}

}  // namespace

int drive_and_finish(const App& app, books::Journal& journal, loop::Run& run,
                     const loop::Bench& bench, View& view) {
  const Status driven = run.drive();
  view.finish();
  if (!driven) {
    if (!app.json) print(fmt::format("what is done so far is kept: lathe resume {}\n", run.id()));
    return report_error(app, driven.error());
  }
  const loop::RunState& state = run.state();
  if (!state.ended) {
    if (!app.json) print(fmt::format("stopped; lathe resume {} goes on\n", run.id()));
    return kExitStopped;
  }
  if (!app.json) {
    const show::RunSummary summary = show::summary_of(state);
    if (!app.color) {  // a terminal shows the table already
      for (const std::string& line : show::table_lines(summary, {.width = 140})) print(line + "\n");
    }
    for (const std::string& note : missing_advice(state)) print("note: " + note + "\n");
    print(fmt::format("{}: {}{}\n", summary.outcome, summary.why, show::run_caveats(state)));
    if (state.end_state == loop::RunResult::kNotJudged)
      print(fmt::format("lathe resume {} tries what was not judged again\n", run.id()));
  }
  loop::Place place;
  place.program = bench.program;
  place.unsafe_no_sandbox = bench.unsafe_no_sandbox;
  place.media = bench.media;
  if (auto left = leave_outputs(app, journal, run, place); !left)
    return report_error(app, left.error());
  if (auto kept = keep_proposals(app, journal, run); !kept) return report_error(app, kept.error());
  if (!app.json) print(fmt::format("lathe report {} writes it as a page\n", run.id()));
  return exit_code_of(state);
}

}  // namespace lathe::app
