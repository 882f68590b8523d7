// Base64 to bytes.
#include "ground/base/base64.h"

#include <cstdint>

namespace lathe {
namespace {

// -1: none of base64's signs.
int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

Result<std::string> decode_base64(std::string_view text, std::size_t max_bytes) {
  constexpr std::string_view kSpaces = " \t\r\n";
  std::size_t signs = 0, pads = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kSpaces.contains(text[i])) continue;
    if (text[i] == '=')
      ++pads;
    else if (pads > 0 || value_of(text[i]) < 0)
      return invalid("is no base64: byte {} is none of its signs", i);
    else
      ++signs;
  }
  if (signs % 4 == 1 || (pads > 0 && (pads > 2 || (signs + pads) % 4 != 0)))
    return invalid("is no base64: it is cut off");
  if (signs / 4 * 3 + signs % 4 * 3 / 4 > max_bytes)
    return invalid("comes to more than {} bytes", max_bytes);
  return from_base64(text);
}

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = value_of(c);
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
