// Takes the power from characters that a terminal would obey.
#include "ground/base/visible_text.h"

#include "ground/base/text.h"

namespace lathe {

std::string visible_text(std::string_view foreign) {
  const std::string text = make_valid_utf8(foreign);
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  const auto acts = [](std::string_view c) {
    return (c.size() == 2 && c[0] == '\xC2' && c[1] <= '\x9F') ||  // C1
           (c >= "\xE2\x80\xAA" && c <= "\xE2\x80\xAE") ||         // embeddings
           (c >= "\xE2\x81\xA6" && c <= "\xE2\x81\xA9");           // isolates
  };
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    const std::string_view c = std::string_view(text).substr(i, length);
    if (acts(c))
      out += kReplacement;
    else if (byte == 0x7f)
      out += "\xE2\x90\xA1";
    else if (byte < 0x20 && byte != '\n' && byte != '\t')
      out += {'\xE2', '\x90', static_cast<char>(0x80 + byte)};
    else
      out += c;
    i += length;
  }
  return out;
}

}  // namespace lathe
