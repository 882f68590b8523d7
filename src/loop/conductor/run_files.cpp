// Lays a run's files out of the journal.
#include "loop/conductor/run_files.h"

#include "loop/conductor/tree.h"

namespace lathe::loop {

Result<RunFiles> lay_out(const books::Journal& journal, const RunState& state, Place place) {
  if (const auto& tree = state.header.tree) {
    place.checkout = [&journal, manifest = tree->blob](const fs::path& directory) {
      return lay_out_tree(journal, manifest, directory);
    };
    place.tree_root = tree->root;
  }
  LATHE_TRY(TempDir directory, TempDir::make("lathe-recipe"));
  for (const RunBegun::File& file : state.header.files) {
    if (!is_safe_relative(file.path)) return invalid("the journal names the file '{}'", file.path);
    LATHE_TRY(const std::string bytes, journal.blob(file.blob));
    const fs::path target = directory.path() / file.path;
    LATHE_TRY_STATUS(make_directories(target.parent_path()));
    LATHE_TRY_STATUS(write_file_atomic(target, bytes));
  }
  place.recipe_dir = directory.path();
  RunFiles files{std::move(directory), std::move(place), {}};
  const Recipe& recipe = state.recipe;
  if (recipe.maker->prefix && !state.tracks.empty()) {
    LATHE_TRY(files.prefix, recipe.maker->prefix(recipe.make_options, state.units, files.place));
  }
  return files;
}

}  // namespace lathe::loop
