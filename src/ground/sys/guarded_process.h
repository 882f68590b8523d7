// A program of somebody else's that runs beside this one for long: a server. It is in the hands of
// a guard, our own executable started again with hidden arguments, which adopts whatever the
// program leaves behind and ends all of it when it is told to, when the program ends, and when
// this process does, however that came (kill -9 too). No shell, no sandbox.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/units.h"

namespace lathe {

// The first argument of a guard; main() hands those behind it to guard_main().
inline constexpr std::string_view kGuardRole = "program-guard";

struct GuardedCommand {
  fs::path guard;                 // the executable whose main() knows kGuardRole
  std::vector<std::string> argv;  // argv[0] with a slash is a path, relative to `cwd`; else in PATH
  std::vector<std::string> env;   // the whole environment, as NAME=value
  fs::path cwd;
  fs::path log;  // what it prints is added here; the file is for its owner alone
};

// One thread at a time.
class GuardedProcess {
 public:
  // Errors: a program that is not there or cannot be run, a log that cannot be written.
  static Result<std::unique_ptr<GuardedProcess>> start(const GuardedCommand& command);
  GuardedProcess(const GuardedProcess&) = delete;
  GuardedProcess& operator=(const GuardedProcess&) = delete;
  ~GuardedProcess();  // ends all of it at once

  // How it ended, and nothing of it is left then: "exit code 2", "killed by SIGSEGV". nullopt: it
  // still runs, that long from now.
  std::optional<std::string> ended(Milliseconds wait);
  void terminate();  // SIGTERM to its process group
  void kill();       // SIGKILL to all of it
  // Its processes now.
  std::vector<pid_t> processes() const;

 private:
  GuardedProcess(pid_t guard, int socket) : guard_(guard), socket_(socket) {}
  void say(char word);
  std::string end_of(std::string_view message);

  pid_t guard_;
  int socket_;
  pid_t program_ = -1;
  std::optional<std::string> end_;
};

// The guard's side: `args` are the directory to run in, the program and its arguments. Standard
// input is the socket to who started it.
int guard_main(std::span<const std::string> args);

// A TCP port of 127.0.0.1 that nobody has now.
Result<std::uint16_t> free_port();

}  // namespace lathe
