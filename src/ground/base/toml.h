// TOML from a person's file, parsed without a way to crash: toml++ alone lets a key with enough
// dots overflow the stack. Only files that read TOML include this.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

// `place` names the file in errors, which say the line too.
Result<toml::table> parse_toml(std::string_view text, std::string_view place);

// "recipes/a.toml:3"
std::string toml_place(std::string_view file, const toml::source_region& source);

}  // namespace lathe
