// A process and what descends from it, as /proc shows them, and the memory that they hold. Reads
// below `root`, which tests replace. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ground/base/file.h"

namespace lathe {

// All that `ancestor` started, and what those started: without itself. Of processes that end
// meanwhile some may be missing or named still.
std::vector<pid_t> descendants_of(pid_t ancestor, const fs::path& root = "/");

// Bytes of the machine's memory: what only they have, and their shares of what they share with
// others (PSS, huge pages too); of a process that shows no more than its resident memory, that.
// Memory of devices is not among them. nullopt: /proc says nothing of any of them.
std::optional<std::uint64_t> memory_of_processes(std::span<const pid_t> processes,
                                                 const fs::path& root = "/");

}  // namespace lathe
