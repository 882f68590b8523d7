// Small files of /proc and /sys: their size is not known before they are read. Pure reads, any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/file.h"

namespace lathe {

std::optional<std::uint64_t> to_unsigned(std::string_view text);  // all of it, digits only

// Trimmed; at most 1 MiB. Errors are the kernel's: no such file, no permission.
Result<std::string> sysfs_text(const fs::path& path);
std::optional<std::uint64_t> sysfs_number(const fs::path& path);
// Entries of a directory whose name begins with `prefix`, sorted; none when it is not there.
std::vector<fs::path> sysfs_entries(const fs::path& directory, std::string_view prefix);

}  // namespace lathe
