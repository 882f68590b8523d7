// Words as they were read against words as they should be.
#include "loop/senses/reading.h"

#include <array>

#include "ground/base/text.h"
#include "loop/senses/ascii.h"

namespace lathe::loop {
namespace {

// Letters with a mark whose bare form is what a reader of English sees. U+00C0…U+017F, and "" for
// what has none.
constexpr std::string_view kLatin1 =
    "AAAAAAACEEEEIIIIDNOOOOO*OUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty";
constexpr std::string_view kLatinA =
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiJjJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRrSsSs"
    "SsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

struct Letter {
  char32_t code = 0;
  std::size_t bytes = 1;
};

Letter next_letter(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const char32_t first = byte(0);
  const std::size_t bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (bytes == 1 || text.size() < bytes) return {first, 1};
  char32_t code = first & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3F);
  return {code, bytes};
}

// The letter as ASCII, 0 for punctuation, or nothing for letters of other scripts.
std::optional<char> bare(char32_t code) {
  if (code < 0x80) return static_cast<char>(code);
  if (code >= 0xC0 && code <= 0xFF) return kLatin1[code - 0xC0];
  if (code >= 0x100 && code < 0x100 + kLatinA.size()) return kLatinA[code - 0x100];
  if ((code >= 0x2000 && code <= 0x206F) || (code >= 0x80 && code < 0xC0)) return '\0';
  return std::nullopt;
}

}  // namespace

std::vector<std::string> phrases_of(std::string_view expect) {
  std::vector<std::string> phrases;
  for (const std::string& line : split(replace_all(expect, "\n", "|"), '|'))
    if (const auto phrase = trim(line); !phrase.empty()) phrases.emplace_back(phrase);
  return phrases;
}

std::vector<std::string> words_in(std::string_view phrase) {
  std::vector<std::string> words;
  std::string spaced(phrase);
  for (const std::string_view dash : {"\u2014", "\u2013", "\u00a0", "\t", "\n", "/"})
    spaced = replace_all(spaced, dash, " ");
  for (const std::string& word : split(spaced, ' '))
    if (!folded(word).empty()) words.push_back(word);
  return words;
}

std::string folded(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size();) {
    const Letter letter = next_letter(word.substr(i));
    const auto plain = bare(letter.code);
    const std::string_view raw = word.substr(i, letter.bytes);
    i += letter.bytes;
    if (!plain) {
      out += raw;
      continue;
    }
    const char c = *plain;
    const bool inside_number = !out.empty() &&
                               (is_digit(out.back()) || out.back() == 'o' || out.back() == 'l') &&
                               i < word.size() && is_digit(word[i]);
    if ((c == '.' || c == ',' || c == ':') && inside_number) {
      out += c;
    } else if (is_letter(c) || is_digit(c) || c == '%' || c == '$' || c == '&' || c == '|') {
      const char low = is_letter(c) ? static_cast<char>(c | 0x20) : c;
      out += low == '0' ? 'o' : low == '1' || low == 'i' || low == '|' ? 'l' : low;
    }
  }
  // A lone stroke is a line that was drawn, not a word.
  return word == "|" ? std::string() : out;
}

std::vector<std::optional<Box>> tick_off(const std::vector<std::string>& expected,
                                         const std::vector<SeenWord>& seen,
                                         std::vector<bool>* used) {
  std::vector<std::string> want, got;
  for (const std::string& word : expected) want.push_back(folded(word));
  for (const SeenWord& word : seen) got.push_back(folded(word.text));
  std::vector<std::optional<Box>> boxes(want.size());
  std::vector<bool> taken(seen.size(), false);
  for (std::size_t e = 0; e < want.size(); ++e)
    for (std::size_t s = 0; s < got.size() && !boxes[e]; ++s)
      if (!taken[s] && got[s] == want[e]) {
        taken[s] = true;
        boxes[e] = seen[s].box;
      }
  // One expected word seen in pieces.
  for (std::size_t e = 0; e < want.size(); ++e)
    for (std::size_t s = 0; s + 1 < got.size() && !boxes[e]; ++s) {
      std::string glued = got[s];
      Box box = seen[s].box;
      for (std::size_t k = s + 1; k < std::min(s + 3, got.size()) && !taken[s]; ++k) {
        if (taken[k] || seen[k].line != seen[s].line) break;
        glued += got[k];
        box = united(box, seen[k].box);
        if (glued != want[e]) continue;
        std::fill(taken.begin() + static_cast<std::ptrdiff_t>(s),
                  taken.begin() + static_cast<std::ptrdiff_t>(k) + 1, true);
        boxes[e] = box;
        break;
      }
    }
  // Neighbours run together.
  for (std::size_t e = 0; e + 1 < want.size(); ++e)
    for (std::size_t s = 0; s < got.size() && !boxes[e] && !boxes[e + 1]; ++s)
      if (!taken[s] && got[s] == want[e] + want[e + 1]) {
        taken[s] = true;
        boxes[e] = boxes[e + 1] = seen[s].box;
      }
  if (used) *used = std::move(taken);
  return boxes;
}

double likeness(std::string_view a, std::string_view b) {
  const std::string x = folded(a), y = folded(b);
  const auto longest = static_cast<double>(std::max({x.size(), y.size(), std::size_t{1}}));
  return 1 - static_cast<double>(edit_distance(x, y)) / longest;
}

}  // namespace lathe::loop
