// Where recipes are found: by path, or by name among the shipped ones.
#pragma once

#include "app/cli/app.h"
#include "loop/conductor/recipe.h"

namespace lathe::app {

struct FoundRecipe {
  loop::Recipe recipe;
  fs::path path;
  std::string project;  // with unit.project = "auto": what was found, and by which file
};
// `input`: the tree whose kind of project counts; "": that of the working directory, or, to show
// what such a recipe comes to, any.
Result<FoundRecipe> find_recipe(const App& app, const std::string& name,
                                std::span<const std::string> overrides,
                                const std::string& input = "");

}  // namespace lathe::app
