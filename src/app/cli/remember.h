// Between loops and the memory: what runs are told, and what they propose.
#pragma once

#include "app/cli/app.h"
#include "loop/conductor/conductor.h"

namespace lathe::app {

// Looks facts up for the units of a recipe with a [memory]; empty for one without.
Result<std::function<Result<std::vector<loop::Recalled>>(std::string_view)>> open_recall(
    const App& app, const loop::Recipe& recipe, const fs::path& recipe_dir);

// Takes over what the answers of an ended run propose; says what that is.
Status keep_proposals(const App& app, const books::Journal& journal, const loop::Run& run);

}  // namespace lathe::app
