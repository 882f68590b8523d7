// A TOML file as JSON, so that both are read by the same checks, and where each key stands in it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "ground/base/json.h"

namespace lathe {

// The line of each key, by its path in the JSON: "judge[1].bar" → 14. Empty: it was no TOML.
using TomlLines = std::map<std::string, unsigned>;

struct TomlJson {
  Json value;
  TomlLines lines;
};

// `place` names the file in errors, which say the line too. Dates and times are refused.
Result<TomlJson> toml_to_json(std::string_view text, const std::string& place);

// "recipes/a.toml:3": the line of the nearest enclosing thing that has one; else `file` alone.
std::string place_of(const std::string& file, const TomlLines& lines, std::string path);

}  // namespace lathe
