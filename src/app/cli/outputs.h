// What a run leaves for the person: files in a directory, or changes applied to the source tree
// they are for.
#pragma once

#include "app/cli/output_file.h"
#include "books/journal/journal.h"
#include "loop/conductor/state.h"
#include "loop/senses/media_pool.h"

namespace lathe::app {

// Each unit's best candidate as OUT/KEY.EXT; what did not pass goes to OUT/gave_up/. Takes of
// speech are also joined, in the order of the script, as OUT/narration.wav, scenes as OUT/clip.mp4
// with OUT/clip.srt. Returns the paths written.
Result<std::vector<std::string>> write_outputs(const books::Journal& journal,
                                               const loop::RunState& state, OutputDirectory& out,
                                               const loop::Place& place, const StopFlag& stop);

// The best candidate's changes as OUT/changes.patch, for `git apply` in the tree that the snapshot
// was taken of, whether they passed or not. Returns its path; "" where nothing was changed.
Result<std::string> write_patch(const books::Journal& journal, const loop::RunState& state,
                                OutputDirectory& out);

// The best candidate's changes, file by file, into the tree that the snapshot was taken of. Refused
// unless the run has passed, and as a whole when `allows` refuses a path, or a file it would
// replace is no longer what the snapshot has: the person's own edits are never overwritten. Returns
// the paths changed.
Result<std::vector<std::string>> apply_to_tree(
    const books::Journal& journal, const loop::RunState& state,
    const std::function<Status(const std::string& path)>& allows);

}  // namespace lathe::app
