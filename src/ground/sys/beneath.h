// Files in a tree where foreign programs ran: nothing in it is trusted to be what it was.
#pragma once

#include "ground/base/file.h"

namespace lathe {

// A regular file below `root`. A symbolic link anywhere on the way, a pipe, a device and a path
// that leaves the tree are errors; nothing can block.
Result<std::string> read_beneath(const fs::path& root, std::string_view path,
                                 std::uint64_t max_bytes = kMaxFileBytes);

}  // namespace lathe
