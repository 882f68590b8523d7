// The lines of what a runner printed, as a person would see them. Pure.
#pragma once

#include <string>
#include <string_view>

namespace lathe::loop {

// Without colours and other escape sequences, without a byte-order mark, and without what a
// carriage return has overwritten.
std::string seen_text(std::string_view bytes);

}  // namespace lathe::loop
