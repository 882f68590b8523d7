// Text in what a browser or a drawer reads as markup. Pure.
#pragma once

#include "ground/base/text.h"

namespace lathe::loop {

// As an element's text of HTML or SVG: valid UTF-8 without control characters.
inline std::string markup_text(std::string_view text) {
  std::string out;
  for (const char c : make_valid_utf8(text))
    out += c == '&'                               ? "&amp;"
           : c == '<'                             ? "&lt;"
           : c == '>'                             ? "&gt;"
           : static_cast<unsigned char>(c) < 0x20 ? " "
                                                  : std::string(1, c);
  return out;
}

}  // namespace lathe::loop
