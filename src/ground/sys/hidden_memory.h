// What a tree of processes holds that no list of its files and no resident memory shows: shared
// anonymous pages, buffers of sockets and pipes, page tables, files without a name. Read from its
// /proc, where all of it leaves a trace.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace lathe {

// Names in /proc that between them show all descriptors and the memory of a process: its own, and
// those of its other threads, which may have descriptors of their own and outlive the first one.
std::vector<std::string> threads_of(int proc, const std::string& pid);

struct HiddenMemory {
  std::uint64_t kernel = 0;    // buffers and page tables, at most
  std::uint64_t shared = 0;    // anonymous pages to share, whoever maps how much of them
  std::uint64_t resident = 0;  // what of `shared` counts as somebody's resident memory
  std::uint64_t unlinked = 0;  // on the disk, in files without a name
  bool uncounted = false;      // there are files that nobody can size: descriptors under way
};

// `proc`: the sandbox's own /proc; `counted`: devices whose files are counted elsewhere.
HiddenMemory hidden_memory(int proc, const std::set<dev_t>& counted);

}  // namespace lathe
