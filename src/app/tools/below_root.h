// Files that an agent names: below the root, or not at all.
#pragma once

#include "ground/base/file.h"

namespace lathe::app {

struct NamedFile {
  std::string path;  // relative to the root
  std::string bytes;
  std::string media_type;  // by its name
};

// `name`: relative to the root, or absolute and below it. Nothing on the way may be a link, and
// nothing but a regular file is opened.
Result<NamedFile> read_below(const fs::path& root, const std::string& name);
// A directory there, absolute and without links.
Result<fs::path> directory_below(const fs::path& root, const std::string& name);

}  // namespace lathe::app
