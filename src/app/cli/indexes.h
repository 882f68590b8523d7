// Where indexes of documents are, how their places are put, and the passages that recipes take of
// them.
#pragma once

#include "app/cli/app.h"
#include "books/index/index.h"
#include "loop/conductor/conductor.h"

namespace lathe::app {

// Of a name; errors: characters that no name has.
Result<fs::path> index_file(const App& app, const std::string& name);
// What an index is called that nobody has named: "docs-1a2b3c4d".
std::string index_name(const books::IndexSource& source);

std::string place_of(const books::Hit& hit);  // "lines 3 to 9", "page 2"

// Brings the index of a recipe's [context] up to date, and looks things up in it; empty for a
// recipe without one. What could not be read is said.
Result<std::function<Result<std::vector<loop::Passage>>(std::string_view)>> open_context(
    const App& app, const loop::Recipe& recipe, const fs::path& recipe_dir);

}  // namespace lathe::app
