// Text of others for a terminal. Pure, safe on any bytes.
#pragma once

#include <string>
#include <string_view>

namespace lathe {

// Valid UTF-8 in which no character acts. Newlines and tabs stay, other control characters become
// pictures of themselves ("␛"), C1 controls and those that turn the direction of writing become
// U+FFFD.
std::string visible_text(std::string_view text);

}  // namespace lathe
