// Base64 read back; text.h has to_base64().
#pragma once

#include <string>
#include <string_view>

namespace lathe {

// Signs that are none of base64's are passed over, white space and '=' among them.
std::string from_base64(std::string_view text);

}  // namespace lathe
