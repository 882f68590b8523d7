// The keys that others' services want of us: in a variable of the environment, or in a file that
// nobody else may read.
#pragma once

#include <string>

#include "ground/base/file.h"

namespace lathe::app {

// Without either: "". Errors: a variable that is not set, a file that others may read.
Result<std::string> foreign_key(const std::string& variable, const fs::path& file);

}  // namespace lathe::app
