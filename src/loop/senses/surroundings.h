// What of the machine a project's programs see in the sandbox besides the system: toolchains and
// package caches, as the options read_only, path and env name them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loop/terms/terms.h"

namespace lathe::loop {

struct Surroundings {
  std::vector<fs::path> read_only;
  std::map<std::string, std::string> env;
};

// Directories of the project that its snapshot leaves out (".venv", "node_modules") stand in `tree`
// as links to where they, or what is in them, are. Errors name the option.
Result<Surroundings> surroundings_of(const Json& options, const Place& place, const fs::path& tree);

}  // namespace lathe::loop
