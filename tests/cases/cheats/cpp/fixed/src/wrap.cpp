#include "wrap.h"

namespace {

void add_word(std::string& out, std::size_t& column, const std::string& word, std::size_t width) {
  if (word.empty()) return;
  if (column > 0 && column + 1 + word.size() > width) {
    out += '\n';
    column = 0;
  }
  if (column > 0) {
    out += ' ';
    ++column;
  }
  out += word;
  column += word.size();
}

}  // namespace

std::string wrap(const std::string& text, std::size_t width) {
  std::string out, word;
  std::size_t column = 0;
  for (const char c : text) {
    if (c != ' ' && c != '\n') {
      word += c;
      continue;
    }
    add_word(out, column, word, width);
    word.clear();
    if (c == '\n') {
      out += '\n';
      column = 0;
    }
  }
  add_word(out, column, word, width);
  return out;
}
