// The loops of a server, of HTTP or of tools for agents: begun as `lathe loop --background` begins
// them, and worked on by children of this program, one a run and few at once. A loop that crashes
// takes nothing along; the server's end, kill -9 too, ends its children, and their runs wait in the
// queue. Any thread.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include "app/cli/app.h"
#include "app/cli/queue_plan.h"
#include "ground/sys/guarded_process.h"
#include "serve/runs/starter.h"
#include "serve/server/keys.h"

namespace lathe::app {

class ServedLoops {
 public:
  // `owner_key`: of this server, "": it wants none. `directory`: results that nobody names a place
  // for lie there.
  ServedLoops(const App& app, std::string owner_key, fs::path directory);
  // Stops what is worked on, in order where there is time; it waits in the queue.
  ~ServedLoops();
  ServedLoops(const ServedLoops&) = delete;
  ServedLoops& operator=(const ServedLoops&) = delete;

  // What `by` began and still waits is worked on. Of people's runs the keys are not known any more:
  // those wait until somebody resumes them.
  void take_up_again(std::string_view by);

  // For the routes. This outlives what holds it.
  serve::RunStarter starter();

 private:
  struct Waiting {
    std::string run, secret;
  };
  struct Child {
    std::string secret;
    std::unique_ptr<GuardedProcess> process;
  };
  // A run on its way into the journal.
  struct Beginning {
    std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
    std::thread thread;
  };

  void begin(serve::WantedRun wanted, std::function<void(Result<std::string>)> done);
  Result<std::string> begin_now(const serve::WantedRun& wanted) const;
  void work(const std::string& run, const std::string& secret);
  std::string problem(const std::string& run);
  void look();  // the thread
  void reap();
  void start_next();
  std::vector<std::string> environment(const std::string& secret) const;

  const App& app_;
  const std::string owner_key_;
  const fs::path directory_;
  StopFlag stop_;

  std::mutex mutex_;  // guards what follows
  std::deque<Waiting> waiting_;
  std::map<std::string, Child> children_;
  Setbacks setbacks_;
  std::map<std::string, std::string> problems_;
  std::list<Beginning> beginnings_;
  std::thread thread_;
};

}  // namespace lathe::app
