// A machine of a fleet: takes units of work as it has room for them, says that it lives, and hands
// in what came of them. What a unit is, and how it is carried out, it is told.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "books/leases/lease_store.h"
#include "ground/base/stop.h"

namespace lathe::app {

struct NodeOptions {
  std::string id;   // as the store knows it
  std::string run;  // units of this run alone; "": of any
  int slots = 1;    // units at once
  // Called from the node's threads: each has a store of its own, and opens it again where that has
  // failed.
  std::function<Result<std::unique_ptr<books::LeaseStore>>()> open;
  std::function<std::vector<std::string>()> caps;  // what it can do, asked before each lease
  std::function<std::string()> busy;               // why it takes nothing now, in words; "": it may
  std::function<Json()> load;                      // what it says of itself with each heartbeat
  // An Error is an attempt without a result. `stop` is raised when the unit is not its any more.
  std::function<Result<books::UnitResult>(const books::Grant& lease, const StopFlag& stop)>
      carry_out;
  std::function<void(const std::string& line)> log;
  Milliseconds beat{books::kBeatMs}, poll{1'000};
};

class Node {
 public:
  explicit Node(NodeOptions options);
  // Stops what it does and gives its units back, which are no attempts.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  std::size_t working() const;
  // Why it takes no part any more ("it was forgotten"); "": it does.
  std::string left() const;

 private:
  struct Job {
    books::Grant lease;
    StopFlag stop;
  };
  // A thread's own way to the store.
  class Line;
  void work();
  void beat();
  void do_one(Line& line, const books::Grant& lease);
  void hand_in(Line& line, const Job& job, const Result<books::UnitResult>& result);
  void leave(const std::string& why);
  // What went wrong is said once, until it is well again.
  void say_trouble(const std::string& what);
  void say_well();
  void rest(Milliseconds time);  // or until the node ends

  NodeOptions options_;
  StopFlag ending_;
  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::list<Job> jobs_;
  std::string left_, trouble_;
  std::vector<std::thread> threads_;
};

}  // namespace lathe::app
