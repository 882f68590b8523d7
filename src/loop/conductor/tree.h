// The snapshot of a source tree: taken once when the run begins, laid out again for every candidate
// and every judge.
#pragma once

#include "books/journal/journal.h"
#include "loop/terms/terms.h"

namespace lathe::loop {

struct TreeSnapshot {
  std::string manifest;               // blob: {"files": [{"path", "blob", "executable"}]}
  std::vector<std::string> left_out;  // symbolic links: not followed
};

// Files of `root` that no `exclude` glob matches. At most 20,000 files and 256 MiB.
Result<TreeSnapshot> snapshot_tree(const books::Journal& journal, const fs::path& root,
                                   std::span<const std::string> exclude);
// The snapshot's files into an empty directory.
Status lay_out_tree(const books::Journal& journal, const std::string& manifest,
                    const fs::path& directory);
// Another snapshot: of its files those that `keep` says, with the changes laid over. The same files
// make the same manifest, whatever way they came by.
Result<std::string> changed_tree(const books::Journal& journal, const std::string& manifest,
                                 const std::function<bool(const std::string& path)>& keep,
                                 const Changes& changes);
// The blob of one file in the snapshot; "" when it is not in it.
Result<std::string> tree_file_blob(const books::Journal& journal, const std::string& manifest,
                                   const std::string& path);

}  // namespace lathe::loop
