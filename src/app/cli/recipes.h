// Where recipes are found: by path, or by name among the shipped ones.
#pragma once

#include "app/cli/app.h"
#include "loop/conductor/recipe.h"

namespace lathe {

struct FoundRecipe {
  Recipe recipe;
  fs::path path;
};
Result<FoundRecipe> find_recipe(const App& app, const std::string& name,
                                std::span<const std::string> overrides);

}  // namespace lathe
