// While a run is driven over a fleet: this machine is one of its nodes, and nodes whose canaries
// are odd are put into quarantine.
#pragma once

#include "app/cli/drive.h"
#include "app/cli/node_here.h"

namespace lathe::app {

class FleetWatch {
 public:
  // Of a setup with a fleet, which outlives it. `slots`: calls that this machine makes at once.
  static Result<std::unique_ptr<FleetWatch>> start(const App& app, const DriveSetup& setup,
                                                   const std::string& run, int slots);
  ~FleetWatch();

 private:
  explicit FleetWatch(FleetAccess access) : access_(std::move(access)) {}
  void watch();

  Status compare(books::LeaseStore& store);

  FleetAccess access_;
  std::map<std::string, Json> seen_;  // canaries, by node
  std::unique_ptr<NodeHere> node_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace lathe::app
