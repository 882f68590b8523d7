// The pictures that an SVG embeds as data: URLs. Foreign bytes: for a confined process.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe::loop {

// The SVG with its WebP pictures as PNG; nothing where it can stay as it is. kInvalid: one of them
// cannot be drawn, and how to do without.
Result<std::optional<std::string>> with_plain_pictures(std::string_view svg);

}  // namespace lathe::loop
