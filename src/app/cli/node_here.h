// This machine as a node of its fleet: what it can do, whether it has room, and how it carries
// orders out.
#pragma once

#include "app/cli/fleet_access.h"
#include "app/node/canaries.h"
#include "app/node/load_rule.h"
#include "app/node/node.h"
#include "loop/conductor/conductor.h"

namespace lathe::app {

class NodeHere {
 public:
  struct Options {
    const loop::Bench& bench;               // outlives it
    std::vector<std::string> workers = {};  // the bench's, by name
    std::string run = {};                   // units of this run alone; "": of any
    int slots = 1;                          // units at once
    std::optional<LoadLimits> limits = {};  // beyond which nothing is taken; nullopt: none
    // Models that canaries are made of, and how; empty: there are none.
    std::function<std::vector<std::string>()> models = {};
    std::function<Result<std::string>(const std::string& model, const StopFlag& stop)> canary = {};
  };
  // Says that this machine is there, before anything is taken. Errors: the fleet does not know it.
  static Result<std::unique_ptr<NodeHere>> start(const App& app, FleetAccess access,
                                                 Options options);
  ~NodeHere();

  const FleetAccess& access() const { return access_; }

 private:
  NodeHere(const App& app, FleetAccess access, Options options);
  std::vector<std::string> caps() const;
  std::string busy();
  Json load();

  const App& app_;
  FleetAccess access_;
  Options options_;
  std::function<NodeLoad()> look_;
  std::mutex mutex_;  // of what follows
  LoadRule rule_;
  std::string busy_;
  std::optional<Milliseconds> looked_;
  std::unique_ptr<Canaries> canaries_;
  std::unique_ptr<Node> node_;  // the last: its threads use all of the above
};

}  // namespace lathe::app
