// Work on one request that is no step of a model: rendering, tokenizing, checking an answer. It has
// threads of its own, so that it keeps neither the engines nor the connections waiting, and of one
// model it is done for one request at a time, models in turn: what one model's template or text
// takes, no other model waits for.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ground/base/stop.h"

namespace lathe::serve {

class SideWork {
 public:
  using Id = std::uint64_t;
  explicit SideWork(std::size_t threads);
  ~SideWork();  // stop()

  // `done` is called exactly once, with whether the work was cancelled or never begun. It must be
  // short and call nothing of this. Either may come before add() returns.
  void add(Id id, std::string model, std::function<void(const StopFlag&)> work,
           std::function<void(bool stopped)> done);
  // False: there is nothing of this id any more.
  bool cancel(Id id);
  // Ends everything; what is added from now on is stopped at once.
  void stop();

 private:
  struct Task {
    Id id;
    std::string model;
    std::function<void(const StopFlag&)> work;
    std::function<void(bool)> done;
    StopFlag stop = {};
    bool running = false;
  };
  using Tasks = std::list<Task>;
  Tasks::iterator next();
  void run();

  std::mutex mutex_;  // guards what follows; held while `done` is called
  std::condition_variable changed_;
  Tasks tasks_;                      // in order of arrival
  std::map<std::string, Id> turns_;  // when each model was last served: a count
  std::set<std::string> busy_;       // models
  Id turn_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lathe::serve
