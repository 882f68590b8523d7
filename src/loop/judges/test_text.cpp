// Takes out of a runner's output what is meant for a terminal.
#include "loop/judges/test_text.h"

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr char kEscape = '\x1b';

// Behind the escape sequence that begins at `i`.
std::size_t behind_escape(std::string_view text, std::size_t i) {
  if (++i >= text.size()) return i;
  if (text[i] == '[') {  // parameters, then one letter
    while (++i < text.size() && text[i] >= 0x20 && text[i] < 0x40) {
    }
    return i + 1;
  }
  if (text[i] == ']' || text[i] == 'P' || text[i] == '_' || text[i] == '^') {
    // A title or a link: up to the bell or ESC backslash, on this line.
    for (std::size_t end = i + 1; end < text.size() && text[end] != '\n'; ++end) {
      if (text[end] == '\a') return end + 1;
      if (text[end] == kEscape && end + 1 < text.size() && text[end + 1] == '\\') return end + 2;
    }
    return i + 1;
  }
  while (i < text.size() && text[i] >= 0x20 && text[i] < 0x30) ++i;
  return i + 1;
}

}  // namespace

std::string seen_text(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  std::string text;
  text.reserve(bytes.size());
  std::size_t line = 0;  // where the current one begins in `text`
  for (std::size_t i = 0; i < bytes.size();) {
    const char c = bytes[i];
    if (c == kEscape) {
      i = behind_escape(bytes, i);
      continue;
    }
    // The end of a line on Windows is none.
    if (c == '\r' && bytes.find_first_not_of('\r', i) != bytes.npos &&
        bytes[bytes.find_first_not_of('\r', i)] != '\n')
      text.resize(line);
    else if (c == '\b')
      text.resize(std::max(line, text.size() - (text.size() > line)));
    else if (c != '\r')
      text += c;
    if (c == '\n') line = text.size();
    ++i;
  }
  return text;
}

}  // namespace lathe::loop
