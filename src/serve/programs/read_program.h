// Programs as files name them, read from their tables.
#pragma once

#include <span>
#include <string_view>

#include "ground/base/toml.h"
#include "serve/programs/program_spec.h"

namespace lathe::serve {

// The keys that program_spec.h tells of.
std::span<const std::string_view> program_keys();

// Of a table with `command`. Errors name the file and the line; a file that others may write, or
// that is another user's, starts nothing.
Result<ProgramSpec> read_program(const toml::table& table, const fs::path& file);

// "keep_alive": how long something stays in memory without a request; 0: until its place is wanted.
Result<Milliseconds> read_keep_alive(const toml::table& table, const fs::path& file);

}  // namespace lathe::serve
