// Two texts, line by line. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

// ' ' both, '-' only before, '+' only after.
struct DiffLine {
  char kind;
  std::string_view text;
};
// All lines of both, in order; the views are those given.
std::vector<DiffLine> diff_lines(const std::vector<std::string_view>& before,
                                 const std::vector<std::string_view>& after);

// The change of one file as `git apply` and `patch -p1` take it; "" where nothing changes. nullopt:
// the file is not there.
std::string file_patch(std::string_view path, const std::optional<std::string>& before,
                       const std::optional<std::string>& after);

}  // namespace lathe
