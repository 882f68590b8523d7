// The manual page and the shells' completions, made from the same descriptors as `--help`. Pure.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::app {

// lathe(1) in the man macros.
std::string man_page(const CLI::App& cli);

// A script that teaches SHELL (bash, zsh or fish) the commands and their options; after those, file
// names. Error: another shell.
Result<std::string> completion_script(const CLI::App& cli, std::string_view shell);

}  // namespace lathe::app
