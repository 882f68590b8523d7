// Whether this machine is in a state whose figures may be published, looked at before anything is
// measured. What is wrong takes the flag, not the run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"
#include "infer/tensor/thread_team.h"

namespace lathe::app {

// What all threads get from memory, and what they compute, at the moment. The best of a few tries.
struct MachineSpeed {
  double memory_gb = 0;  // 10⁹ bytes a second, read
  double int8_gop = 0;   // 10⁹ operations a second of the best int8 kernel: 2 a multiply and add
};
Result<MachineSpeed> measure_machine(infer::ThreadTeam& team);

struct BusyProcess {
  std::string name;
  double percent = 0;  // of one processor
};

struct MachineState {
  MachineSpeed speed = {};
  std::optional<MachineSpeed> best = {};                          // that was ever recorded here
  std::string governor = {};                                      // "": the kernel does not say
  std::optional<double> cpu_pressure = {}, memory_pressure = {};  // PSI, 0 to 1
  std::optional<double> load_average = {};
  std::vector<BusyProcess> busy = {};  // others that take over 5 %
  bool on_battery = false;
  std::optional<std::uint64_t> throttles = {};
};
// Looks for half a second who else is busy. `root`: for tests.
MachineState read_machine_state(const fs::path& root = "/");

// Why figures of such a machine had better not be published; none: they may be. Pure.
std::vector<std::string> objections_to(const MachineState& state);
Json to_json(const MachineState& state);

// Three clocks of one moment: the steady one, one that counts sleep too, and the time of day.
struct Clocks {
  std::int64_t steady_us = 0, with_sleep_us = 0, of_day_us = 0;
};
Clocks read_clocks();
// That the machine slept, or that somebody set the clock; none: neither. Pure.
std::vector<std::string> clock_faults(const Clocks& before, const Clocks& after);

}  // namespace lathe::app
