// Locks this process in for the rest of its life: it may compute, use memory and talk over the
// descriptors it has, nothing else. For worker processes, called after their models are loaded.
#pragma once

#include <cstdint>

#include "ground/base/result.h"

namespace lathe {

struct ConfineLimits {
  std::uint64_t memory_bytes = std::uint64_t{512} << 20;  // address space, what is mapped included
  std::uint64_t cpu_seconds = 0;  // from now on, then SIGXCPU; 0: any. Waiting costs nothing
  // For text laid out by Pango, which starts threads and asks whether the fonts that it holds are
  // still there: threads may be started (never a process), and the answer is always yes.
  bool draws_text = false;
  // For sounds read by libsndfile, which looks for files beside some: it is told that there are
  // none.
  bool finds_no_files = false;
};

// Resource limits, no new privileges, and a system call allow-list under which anything else (open,
// socket, exec, kill, ptrace, …) ends the process with SIGSYS. Holds for all threads.
Status confine(const ConfineLimits& limits);

}  // namespace lathe
