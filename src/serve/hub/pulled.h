// What `pull` has brought to a directory: a note for each model, in .pulled/NAME.json there. Only
// what a note names is ever removed. Errors name the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ground/base/file.h"

namespace lathe::serve {

struct PulledFile {
  std::string name;  // in the directory
  std::uint64_t bytes = 0;
  std::string sha256;
  bool done = false;  // it was verified and took its place
};

struct PulledModel {
  std::string name;
  std::string source;    // as ModelSource::text() says it
  std::string revision;  // of the hub's repository; "" of a registry
  std::vector<PulledFile> files;

  std::uint64_t bytes() const;
  bool whole(const fs::path& directory) const;  // all files are done, and there in their sizes
  const PulledFile* find(std::string_view file) const;  // nullptr: pull has not brought it
};

Status write_note(const fs::path& directory, const PulledModel& model);
// All of them, by name. A note that cannot be read is left out.
std::vector<PulledModel> read_notes(const fs::path& directory);
// Its files, what has come of them so far, and its note.
Status remove_pulled(const fs::path& directory, const PulledModel& model);

// Where a file grows until it is whole.
fs::path part_path(const fs::path& directory, std::string_view name);

}  // namespace lathe::serve
