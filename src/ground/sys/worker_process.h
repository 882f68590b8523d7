// A confined helper that lives on: our own executable, started again with hidden arguments, which
// answers length-prefixed frames over a socket. Foreign code (decoders, voices, ears) runs there,
// so that its crash, hang or exploit is an Error here. WorkerProcess owns the child: it is killed
// when the object goes, and it ends by itself when this process does.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe {

inline constexpr std::uint32_t kMaxFrameBytes = 96U << 20;

struct WorkerCommand {
  fs::path program;
  std::vector<std::string> args;      // without argv[0]
  std::vector<std::string> env = {};  // the whole environment, as NAME=value
};

// One thread at a time. The child is started by the first call.
class WorkerProcess {
 public:
  explicit WorkerProcess(WorkerCommand command) : command_(std::move(command)) {}
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess() { kill(); }

  // Sends a frame and waits for the answer. Whatever goes wrong (crash, time-out, an impossible
  // frame, `stop`) ends the child; the next call starts a fresh one. The message says how it ended.
  Result<std::string> call(std::string_view request, Milliseconds limit, const StopFlag& stop);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  int last_signal() const { return last_signal_; }  // that ended the last child by itself, or 0
  void kill();

 private:
  Status start();
  std::string describe_end();  // reaps a child that closed its side: "killed by SIGSYS"

  WorkerCommand command_;
  pid_t pid_ = -1;
  int socket_ = -1;
  int last_signal_ = 0;
};

// The child's side: answers frames from standard input (the socket) until it closes, then ends the
// process without running destructors. `handle` may be left by an exception: the process ends and
// the parent sees a crash. A guard thread ends the process as soon as the parent is gone, so it
// must be started before confine().
void watch_parent();
[[noreturn]] void serve_frames(const std::function<std::string(std::string_view)>& handle);

}  // namespace lathe
