// Names that are made up for each answer, and times as the APIs write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::serve {

std::string fresh_id(std::string_view prefix);  // prefix and 24 random hex digits
std::int64_t unix_seconds();

}  // namespace lathe::serve
