// SHA-256, as lower-case hex.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "ground/base/result.h"

namespace lathe {

// Of bytes that come piece by piece. One thread.
class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  std::string hex();  // of all that was added; the end of it

 private:
  std::unique_ptr<void, void (*)(void*)> context_;
};

std::string sha256_hex(std::string_view bytes);
Result<std::string> sha256_file(const std::filesystem::path& path);  // read in pieces
bool is_sha256_hex(std::string_view text);

}  // namespace lathe
