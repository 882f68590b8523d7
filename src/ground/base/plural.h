// Counts in words.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace lathe {

// "1 unit", "2 units".
inline std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace lathe
