// SHA-256, as lower-case hex.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

std::string sha256_hex(std::string_view bytes);
Result<std::string> sha256_file(const std::filesystem::path& path);  // read in pieces
bool is_sha256_hex(std::string_view text);

}  // namespace lathe
