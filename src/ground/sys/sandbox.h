// Runs generated code so that it can hurt nothing: no network unless asked for, no home, its own
// /tmp and process tree, limits on time, memory, processes and files. bubblewrap builds the
// namespaces, seccomp and rlimits close the rest.
#pragma once

#include "ground/sys/subprocess.h"

namespace lathe {

struct SandboxLimits {
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;  // of the whole tree of processes
  int processes = 128;
  std::uint64_t file_bytes = std::uint64_t{512} << 20;  // the largest file
  std::uint64_t disk_bytes = std::uint64_t{1} << 30;    // all files it writes, /tmp included
  int open_files = 512;
};

inline constexpr std::string_view kSandboxProgram = "/run/lathe";

struct Sandbox {
  fs::path tree;  // read-write inside, as /work, which is also the working directory
  std::vector<fs::path>
      read_only;  // host paths visible at the same place, besides /usr and its kin
  std::vector<std::string> fixed = {};  // files of the tree, read-only inside: the first hundred
  fs::path program = {};  // a program of ours to be run inside, there as kSandboxProgram
  SandboxLimits limits;
  bool unsafe_none = false;  // --unsafe-no-sandbox: run without any of this, time limit only
  bool network = false;      // the machine's network, all of it
};

struct SandboxedExit {
  Exit exit;
  std::string
      contained;  // "" or which limit ended it: "memory over 4.0 GiB", "more than 128 processes", …
  std::string left = {};  // programs that still ran half a second after the command's end; "": none
};

// command.cwd is ignored (it is /work). Where the sandbox can't work the error says why and what to
// do; nothing is run.
Result<SandboxedExit> run_sandboxed(const Sandbox& sandbox, const Command& command,
                                    const StopFlag& stop);

// Proves by a real run, once per process, that the sandbox works here.
Status sandbox_works();

}  // namespace lathe
