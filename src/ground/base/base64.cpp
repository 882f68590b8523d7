// Base64 to bytes.
#include "ground/base/base64.h"

#include <cstdint>

namespace lathe {

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) continue;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (++count == 4) {
      out += {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8), static_cast<char>(bits)};
      count = 0;
    }
  }
  if (count >= 2) out += static_cast<char>(bits >> (6 * count - 8));
  if (count == 3) out += static_cast<char>(bits >> 2);
  return out;
}

}  // namespace lathe
