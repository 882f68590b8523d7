// Watches a sandboxed tree of processes from outside and says when it is over a limit that no
// rlimit can hold: the sum of its memory, its processes and threads, what it wrote. Used by one
// thread.
#pragma once

#include <optional>

#include "ground/sys/hidden_memory.h"
#include "ground/sys/process.h"
#include "ground/sys/sandbox.h"

namespace lathe {

// What a tree of files takes up. Symbolic links are not followed.
struct TreeSize {
  std::uint64_t bytes = 0;
  bool too_deep = false;
};
inline constexpr int kMaxTreeDepth = 100;
TreeSize tree_size(const fs::path& root);

class TreeWatch {
 public:
  // `root` is the sandbox's root as seen from here: /proc/<its init>/root.
  TreeWatch(const fs::path& root, const Sandbox& sandbox, std::uint64_t tree_bytes_before);

  // "" or the limit that is broken.
  std::string broken_limit();

 private:
  struct Load {
    int tasks = 0;
    std::uint64_t memory = 0;
  };
  Load load(bool exact) const;
  std::string broken_disk_limit(const HiddenMemory& hidden) const;
  bool over_memory(const HiddenMemory& hidden) const;

  const Sandbox& sandbox_;
  std::uint64_t before_, free_before_;
  UniqueFd proc_, tmp_, shm_;
  Milliseconds next_disk_check_{0};
};

}  // namespace lathe
