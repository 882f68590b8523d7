// TOML with limits, and places in it.
#include "ground/base/toml.h"

#include <algorithm>

namespace lathe {
namespace {

constexpr int kMaxDots = 32;

// Past the string that opens at `text[i]`, a quote of any of TOML's four kinds.
std::size_t skip_string(std::string_view text, std::size_t i) {
  const char quote = text[i];
  const std::string triple(3, quote);
  if (text.substr(i).starts_with(triple)) {
    for (i += 3; i < text.size(); ++i) {
      if (quote == '"' && text[i] == '\\')
        ++i;
      else if (text.substr(i).starts_with(triple))
        return i + 3;
    }
    return text.size();
  }
  for (++i; i < text.size() && text[i] != '\n'; ++i) {
    if (quote == '"' && text[i] == '\\')
      ++i;
    else if (text[i] == quote)
      return i + 1;
  }
  return std::min(i, text.size());
}

// The line of the first key with too many dots, or 0. Dots inside strings and comments don't count.
std::ptrdiff_t find_deep_key(std::string_view text) {
  int dots = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      i = skip_string(text, i);
      continue;
    }
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (c == '.') {
      if (++dots > kMaxDots)
        return 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(i), '\n');
    } else if (std::string_view("=[]{},\n").find(c) != std::string_view::npos) {
      dots = 0;
    }
    ++i;
  }
  return 0;
}

}  // namespace

std::string toml_place(std::string_view file, const toml::source_region& source) {
  return fmt::format("{}:{}", file, source.begin.line);
}

Result<toml::table> parse_toml(std::string_view text, std::string_view place) {
  if (const auto line = find_deep_key(text); line > 0)
    return invalid("{}:{}: a key has more than {} parts", place, line, kMaxDots + 1);
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return invalid("{}: {}", toml_place(place, error.source()), error.description());
  }
}

}  // namespace lathe
