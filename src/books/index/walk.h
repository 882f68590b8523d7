// The files below a directory that an index reads. Links are not followed.
#pragma once

#include "books/index/index.h"

namespace lathe::books {

struct IndexedFile {
  std::string path;  // relative, '/'-separated
  std::uint64_t bytes = 0;
  std::int64_t changed = 0;  // its time, in the file system's units
};

// Sorted by path. What cannot be read and what is ignored is put into `change`. Errors: no such
// directory, too many files or bytes.
Result<std::vector<IndexedFile>> walk(const IndexSource& source, IndexChange& change);
std::optional<IndexedFile> look_at(const fs::path& root, const std::string& path);

}  // namespace lathe::books
