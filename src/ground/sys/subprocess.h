// Runs another program to its end: no shell, bounded output, a time limit, and no process of it
// left behind.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe {

struct Command {
  std::vector<std::string> argv;           // argv[0] is looked up in PATH
  std::map<std::string, std::string> env;  // the whole environment: nothing is inherited
  fs::path cwd;                            // empty: ours
  std::string input;                       // standard input
  int stream = -1;  // a descriptor that is standard input and output, in place of `input` and `out`
  std::uint64_t max_output = 8 << 20;  // bytes kept per stream; the rest is read and dropped
  Milliseconds time_limit{60'000};
  // May be empty: is given what either stream brings, as it comes and whole, on the caller's
  // thread.
  std::function<void(std::string_view)> on_output = {};
};

struct Exit {
  int code = -1;  // -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;
  bool stopped = false;  // by the StopFlag
  bool output_cut = false;
  std::string out, err;
  Milliseconds wall{0};
  bool ok() const { return code == 0 && !timed_out && !stopped; }
  std::string describe() const;  // "exit code 2", "killed by SIGSEGV", "timed out after 30.0 s"
};

// An error only when the program could not be started. SIGTERM, then SIGKILL after a grace of a
// second, to its whole process group when time is up or `stop` is raised. May be called from any
// thread.
Result<Exit> run_command(const Command& command, const StopFlag& stop);

// PATH, HOME, LANG: what ordinary programs need, taken from this process.
std::map<std::string, std::string> plain_environment();
// The full path of a program in PATH, or an error that names it and the Debian package when that is
// known.
Result<fs::path> find_program(std::string_view name);

}  // namespace lathe
