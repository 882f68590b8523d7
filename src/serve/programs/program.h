// A program of somebody else's as a model's host: started, asked whether it is ready, measured and
// ended by a thread of its own, and asked over HTTP by a RemoteHost in front of it. What it does
// next next_step() says. Any thread may call anything; nothing here waits for the program but
// how_it_ended() and the destructor.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "ground/sys/guarded_process.h"
#include "serve/programs/program_phase.h"
#include "serve/programs/program_spec.h"
#include "work/model_host.h"

namespace lathe::serve {

// What programs need of the process that runs them.
struct ProgramPlaces {
  fs::path guard = {};                // the executable whose main() knows kGuardRole
  fs::path logs = {};                 // the directory of what they print, NAME.log each
  std::vector<std::string> env = {};  // their environment
  Milliseconds grace{10'000};         // between SIGTERM and SIGKILL
};

// Told by the program's thread; must not block.
struct ProgramEvents {
  // It can be asked, and what its server says of its first model; empty where it says nothing.
  std::function<void(const ModelInfo& said)> on_ready;
  // It is off, and nothing of it is in memory: as it was told, or for this reason.
  std::function<void(std::optional<Error> why)> on_gone;
  // Bytes of the machine's memory that it uses, now and again.
  std::function<void(std::uint64_t bytes)> on_memory;
  std::function<void(const std::string& line)> log;
};

class Program {
 public:
  Program(std::string name, ProgramSpec spec, ProgramPlaces places, ProgramEvents events);
  // Ends it, with the grace that it has; nothing is told any more once this is over.
  ~Program();

  // on_ready or on_gone tells what came of it.
  void start();
  // on_gone tells when it is done. `why`: it has to go, which its requests are told, and it counts
  // as one of its failures.
  void stop(std::string why = {});
  // What can be asked; null: it is not ready. Whoever holds it lets it go soon: its end waits.
  std::shared_ptr<ModelHost> host() const;
  // As its server calls the model.
  std::string model() const;
  // Why what it was asked breaks off, if that is its end; waits so long for the end.
  std::optional<Error> how_it_ended(Milliseconds wait) const;

 private:
  void run();
  void take(const ProgramEvent& event);
  void act(ProgramAct what);
  Status launch();
  Status check_port();
  void look(ProgramPhase phase);
  int says();
  void open_host();
  void close_host();
  void measure();
  void cut_log();
  void log(const std::string& line) const;
  std::string last_words() const;
  Error error() const;
  Milliseconds now() const { return system_clock().monotonic(); }

  const std::string name_;
  const ProgramSpec spec_;
  const ProgramPlaces places_;
  const ProgramEvents events_;
  const ProgramRules rules_;
  const fs::path log_;

  // The thread's alone.
  std::unique_ptr<GuardedProcess> process_;
  std::uint16_t port_ = 0;
  Milliseconds look_at_{0}, measure_at_{0};

  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  ProgramState state_;
  std::string end_;  // of the last one that ended by itself, with its last words
  std::shared_ptr<ModelHost> host_;
  std::string model_;
  bool wanted_ = false, ending_ = false;
  std::optional<std::string> unwanted_;
  StopFlag hurry_;  // ends a look that is under way
  std::thread thread_;
};

}  // namespace lathe::serve
