// Classes and forms of characters.
#include "infer/tokens/unicode.h"

#include <algorithm>
#include <iterator>

namespace lathe::infer {
namespace {

struct CategoryStart {
  char32_t first;
  UnicodeCategory category;
};
struct CaseRange {
  char32_t first, last;
  std::int32_t delta;
  char32_t step;
};
struct BaseOf {
  char32_t code;
  std::array<char32_t, 3> bases;
};
struct CodeRange {
  char32_t first, last;
};

using enum UnicodeCategory;
#include "infer/tokens/unicode_tables.inc"

constexpr std::array<CategorySet, 128> ascii_categories() {
  std::array<CategorySet, 128> out{};
  std::size_t row = 0;
  for (char32_t code = 0; code < 128; ++code) {
    while (kCategories[row + 1].first <= code) ++row;
    out[code] = set_of(kCategories[row].category);
  }
  return out;
}
constexpr auto kAscii = ascii_categories();

// The row of a table sorted by `first` that may hold `code`, or the table's end.
template <class Row, std::size_t n>
const Row* find_range(const Row (&table)[n], char32_t code) {
  const Row* after = std::upper_bound(std::begin(table), std::end(table), code,
                                      [](char32_t c, const Row& row) { return c < row.first; });
  return after == std::begin(table) ? std::end(table) : after - 1;
}

}  // namespace

UnicodeCategory category_of(char32_t code) {
  return find_range(kCategories, code)->category;
}

Character character_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, kAscii[first], 1};
  const std::uint32_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  char32_t code = first & (0xFFU >> (bytes + 1));
  bool valid = first >= 0xC2 && first <= 0xF4;
  for (std::uint32_t i = 1; i < bytes && valid; ++i) {
    valid = (byte(i) & 0xC0U) == 0x80U;
    code = code << 6 | (byte(i) & 0x3FU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  valid = valid && code >= kLeast[bytes] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  if (!valid) return {0xFFFD, set_of(kSymbol), 1};
  return {code, set_of(category_of(code)), bytes};
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

namespace {

template <std::size_t n>
char32_t change_case(const CaseRange (&table)[n], char32_t code) {
  const CaseRange* range = find_range(table, code);
  if (range == std::end(table) || code > range->last || (code - range->first) % range->step != 0)
    return code;
  return static_cast<char32_t>(static_cast<std::int32_t>(code) + range->delta);
}

}  // namespace

char32_t lower_of(char32_t code) {
  return change_case(kLower, code);
}
char32_t upper_of(char32_t code) {
  return change_case(kUpper, code);
}

std::array<char32_t, 3> base_of(char32_t code) {
  if (code >= 0xAC00 && code < 0xD7A4) {  // Hangul syllables, The Unicode Standard 3.12
    const char32_t index = code - 0xAC00;
    const char32_t tail = index % 28;
    return {0x1100 + index / 588, 0x1161 + index % 588 / 28, tail == 0 ? 0 : 0x11A7 + tail};
  }
  const BaseOf* row =
      std::lower_bound(std::begin(kBases), std::end(kBases), code,
                       [](const BaseOf& base, char32_t c) { return base.code < c; });
  if (row != std::end(kBases) && row->code == code) return row->bases;
  if (category_of(code) == UnicodeCategory::kMn) return {};
  return {code, 0, 0};
}

bool is_han(char32_t code) {
  // Unicode 15.1, Scripts.txt.
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},   {0x3005, 0x3005},
      {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303B},   {0x3400, 0x4DBF},
      {0x4E00, 0x9FFF},   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
      {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D},
      {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0}, {0x2EBF0, 0x2EE5D}, {0x2F800, 0x2FA1D},
      {0x30000, 0x3134A}, {0x31350, 0x323AF}};
  return code >= kRanges[0].first && std::ranges::any_of(kRanges, [code](const auto& range) {
           return code >= range.first && code <= range.second;
         });
}

bool is_deepseek_letter(char32_t code) {
  const CodeRange* range = find_range(kDeepseekLetters, code);
  return range != std::end(kDeepseekLetters) && code <= range->last;
}

}  // namespace lathe::infer
