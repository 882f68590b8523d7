// How a critique names a place in a picture: "box 120,40 300x64" (x,y of the corner, width and
// height). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ground/media/picture.h"

namespace lathe::loop {

std::string to_text(const Box& box);
std::optional<Box> parse_box(std::string_view text);

}  // namespace lathe::loop
