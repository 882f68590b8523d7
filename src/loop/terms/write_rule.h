// Which files of a source tree a candidate may change. One rule, asked where an answer is read and
// again where changes are written into a person's tree.
#pragma once

#include "ground/base/file.h"
#include "ground/base/json.h"

namespace lathe::loop {

// Besides its globs the rule refuses what reaches further than the code itself:
// - always: the directories of version control (.git, .hg, .svn, …) in any spelling that some file
//   system takes for them, and paths with backslashes or control characters;
// - unless a glob of may_write spells the name out ("**" does not): files that programs obey on
//   sight (every name that begins with a dot, a git repository's HEAD, CI, containers, agents), and
//   those that decide how tests and tools run (the ecosystems' `decides`).
struct WriteRule {
  std::vector<std::string> may_write, protect;

  static WriteRule of(const Json& make_options);
  Status allows(std::string_view path) const;
  // What is unwise in it, for `lathe recipe check`.
  std::vector<std::string> warnings() const;
};

// Refuses a path that lies in a git repository's own directory, whatever that is called.
Status outside_repositories(const fs::path& root, std::string_view path);

}  // namespace lathe::loop
