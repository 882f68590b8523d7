// Base64 read back; text.h has to_base64().
#pragma once

#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

// Of what others send: the signs of base64, white space between them, '=' at the end if at all.
// kInvalid names the first other sign and its place, or that it comes to more than `max_bytes`:
// then nothing is decoded.
Result<std::string> decode_base64(std::string_view text, std::size_t max_bytes);

// Signs that are none of base64's are passed over, white space and '=' among them.
std::string from_base64(std::string_view text);

}  // namespace lathe
