// The little of Unicode that tokenizers need: characters of a text that may not be valid UTF-8,
// their general category, and what BERT's normalizer does to them. Pure functions over constant
// tables (tools/make_unicode_tables.py).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::infer {

enum class UnicodeCategory : std::uint8_t {
  kOther,  // controls, formats, unassigned
  kSpace,  // property White_Space, the control characters among it included
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMark,  // Mc, Me
  kNumber,
  kPunctuation,
  kSymbol
};

// A set of categories, as a bit mask.
using CategorySet = std::uint32_t;
constexpr CategorySet set_of(UnicodeCategory category) {
  return 1U << static_cast<int>(category);
}
inline constexpr CategorySet kLetters =
    set_of(UnicodeCategory::kLu) | set_of(UnicodeCategory::kLl) | set_of(UnicodeCategory::kLt) |
    set_of(UnicodeCategory::kLm) | set_of(UnicodeCategory::kLo);
inline constexpr CategorySet kMarks = set_of(UnicodeCategory::kMn) | set_of(UnicodeCategory::kMark);
inline constexpr CategorySet kNumbers = set_of(UnicodeCategory::kNumber);
inline constexpr CategorySet kPunctuations = set_of(UnicodeCategory::kPunctuation);
inline constexpr CategorySet kSymbols = set_of(UnicodeCategory::kSymbol);
inline constexpr CategorySet kSpaces = set_of(UnicodeCategory::kSpace);

UnicodeCategory category_of(char32_t code);

struct Character {
  char32_t code = 0;
  CategorySet category = 0;  // exactly one bit
  std::uint32_t bytes = 0;   // 0: past the end

  bool is(CategorySet set) const { return (category & set) != 0; }
};

// The character that starts at `at`. A byte that starts no valid sequence is U+FFFD, one byte long;
// past the end there is a character of no category and no bytes.
Character character_at(std::string_view text, std::size_t at);
// Whether that character stands for a byte that is no UTF-8. (A real U+FFFD has three bytes.)
inline bool is_invalid(const Character& character) {
  return character.code == 0xFFFD && character.bytes == 1;
}

void append_utf8(std::string& out, char32_t code);

// Mappings to one character; where Unicode has several, the first (lower) or none (upper).
char32_t lower_of(char32_t code);
char32_t upper_of(char32_t code);
// Canonical decomposition without its non-spacing marks: at most three characters, the rest 0.
std::array<char32_t, 3> base_of(char32_t code);
// Of the script Han: Chinese characters, their radicals, numbers and marks.
bool is_han(char32_t code);
// The cased letters that DeepSeek's first vocabularies list.
bool is_deepseek_letter(char32_t code);

}  // namespace lathe::infer
