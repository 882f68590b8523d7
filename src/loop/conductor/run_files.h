// What a run began with, laid out again from the journal: the files that its recipe names, its
// source tree for whoever checks it out, and the prefix of its prompts.
#pragma once

#include "books/journal/journal.h"
#include "loop/conductor/state.h"

namespace lathe::loop {

struct RunFiles {
  TempDir directory;  // of the recipe's files: place.recipe_dir
  Place place;
  std::string prefix;  // "" for makers without a prompt
};

// `place`: what of it does not come from the run: the program, voices and ears. The journal must
// outlive the result. Errors: blobs that are missing, paths that lead outside.
Result<RunFiles> lay_out(const books::Journal& journal, const RunState& state, Place place);

}  // namespace lathe::loop
