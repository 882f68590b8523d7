// What a command may write over: nothing that it reads, and what is there already only with
// --force.
#pragma once

#include <initializer_list>
#include <set>
#include <string>

#include "app/cli/app.h"

namespace lathe::app {

void add_force_flag(CLI::App& command, bool& force);

// Before any work. `inputs` are files and directories that the command reads, `out` must be none of
// them under any name, nor another part of a split one, whatever `force` says. A file that is there
// needs --force, a directory or a device is refused, and its directory must take new files.
Status check_output(const fs::path& out, std::initializer_list<fs::path> inputs, bool force);

// A directory that results go to, with a mark in it (.lathe-out.json) that lists what Lathe wrote
// there: only that is ever written over or removed.
class OutputDirectory {
 public:
  // Before any work: new, empty or marked, unless `force`; no link. Nothing is made yet.
  static Result<OutputDirectory> open(fs::path directory, bool force = false);

  const fs::path& path() const { return path_; }
  // `name` is relative. An error: it is there and nobody marked it. Returns the path.
  Result<std::string> write(const std::string& name, std::string_view bytes);
  // Removes what an earlier run left here and this one did not write again, and sets the mark.
  Status finish();

 private:
  explicit OutputDirectory(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
  std::set<std::string> known_, written_;  // by the mark; now
  bool force_ = false;
};

}  // namespace lathe::app
