// Driving a run from the command line: what `loop`, `resume` and `report --baseline` share.
#pragma once

#include "app/cli/app.h"
#include "app/cli/fleet_access.h"
#include "app/cli/tool_desk.h"
#include "app/cli/workers.h"
#include "ground/sys/energy.h"
#include "loop/conductor/conductor.h"

namespace lathe::app {

// Where results go unless somebody says otherwise: a directory a run.
inline constexpr const char* kOutputs = "lathe-out";

// Calls of a run over a fleet at once, unless said otherwise; each has a connection.
inline constexpr int kCallsOfFleet = 12;

struct DriveFlags {
  WorkerFlags workers;
  int parallel = 0;  // 0: as many as there are cores
  bool unsafe_no_sandbox = false;
  bool verbose = false;  // show what tests print
  bool fleet = false;    // nodes of the fleet make the calls
};
void add_drive_flags(CLI::App& command, DriveFlags& flags);
void add_fleet_flag(CLI::App& command, DriveFlags& flags);

// What the command line that began a run allowed still holds; this one may name other workers.
void workers_of_run(const loop::RunBegun& header, WorkerFlags& flags);

int cores();  // of this machine, at least 1

// "lathe 0.2.0", and what the verdicts of this build rest on.
std::string build_name();

// Bytes of orders and of what came of them, as they went to the fleet's store and came from it.
struct FleetTraffic {
  std::uint64_t sent = 0, received = 0;
};
void print_traffic(const App& app, const FleetTraffic& traffic);

// Holds what a Bench points to for as long as a run is driven.
class DriveSetup {
 public:
  DriveSetup();
  ~DriveSetup();
  static Result<std::unique_ptr<DriveSetup>> make(const App& app, const DriveFlags& flags,
                                                  Reach privacy, loop::Observer* observer);
  const loop::Bench& bench() const { return *bench_; }
  std::vector<std::string> workers() const { return workers_.names(); }
  std::map<std::string, serve::Pool::Room> rooms() const { return workers_.rooms(); }
  // Where the fleet keeps its units; null: it is not asked.
  const FleetAccess* fleet() const { return fleet_ ? &*fleet_ : nullptr; }
  FleetTraffic traffic() const;  // so far

 private:
  loop::CallNotes notes_;
  WorkerTable workers_;
  std::optional<ToolDesk> tools_;
  EnergyMeter meter_;
  std::optional<FleetAccess> fleet_;
  std::unique_ptr<class CountedBlobs> blobs_;  // of the fleet
  std::unique_ptr<loop::Elsewhere> elsewhere_;
  std::optional<loop::Bench> bench_;
};

// Drives to the end (or a stop), then writes the outputs and says what there is. Returns the exit
// code.
int drive_and_finish(const App& app, books::Journal& journal, loop::Run& run,
                     const loop::Bench& bench, class View& view);

int exit_code_of(const loop::RunState& state);

}  // namespace lathe::app
