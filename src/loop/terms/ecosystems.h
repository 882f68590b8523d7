// The kinds of projects that Lathe knows by their files: one row each says how such a project is
// tested, what its tools need to see, and which of its files decide how tests and tools run.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/json.h"

namespace lathe::loop {

struct Ecosystem {
  using Words = std::vector<std::string_view>;
  std::string_view name;
  // In the project's root; the first row that has one of its own there counts. Globs.
  Words markers;
  std::string_view build, command, report, format;
  Words sources, tests;  // globs: what a candidate may write, and what it may not
  // Toolchains and package caches, mounted read-only where they are: "~/.cargo", ".venv".
  Words read_only;
  Words path;  // of those, the directories with programs
  std::vector<std::pair<std::string_view, std::string_view>> env;  // the offline switches
  // Files that decide how tests and tools run: globs of a file's name, with a slash behind them of
  // any name in its path.
  Words decides;
};

// In the order in which they are looked for: the more particular ones first.
std::span<const Ecosystem> ecosystems();

// What is taken for a project of no kind that is known, where the person says how it is tested: all
// files are sources but those that look like tests or decide how they run.
const Ecosystem& unknown_project();

struct FoundProject {
  const Ecosystem* ecosystem = nullptr;
  std::string marker;  // the file that told it
};
Result<FoundProject> find_project(const fs::path& root);

// "~/x" below the home directory, another relative name below the project's root.
fs::path expand_path(std::string_view name, const fs::path& root, const fs::path& home);

// What a recipe for such a project has in [unit] and [make]; of toolchains and caches those that
// are there.
Json project_values(const Ecosystem& project, const fs::path& root, const fs::path& home);

}  // namespace lathe::loop
