// Files that are their owner's alone: made so, never made so afterwards.
#pragma once

#include "ground/base/file.h"

namespace lathe::serve {

enum class Existing { kReplace, kKeep };

// Beside the target, synced, then in its place. kKeep: false where one is there already, which
// stays as it is.
Result<bool> write_private_file(const fs::path& path, std::string_view bytes, Existing existing);

// nullopt: there is none. Errors: others may read it, it is longer than `most` bytes.
Result<std::optional<std::string>> read_private_file(const fs::path& path, std::uint64_t most);

}  // namespace lathe::serve
