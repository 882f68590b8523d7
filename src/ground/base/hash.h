// SHA-256, as lower-case hex.
#pragma once

#include <string>
#include <string_view>

namespace lathe {

std::string sha256_hex(std::string_view bytes);
bool is_sha256_hex(std::string_view text);

}  // namespace lathe
