// What can be counted in a text. Words and sentences in any language that puts blanks between
// words; syllables, and so readability, in English. Pure; texts must be valid UTF-8.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::loop {

struct Sentence {
  std::size_t begin = 0;  // byte offset of its first word
  std::size_t words = 0;
};

struct TextFacts {
  std::size_t characters = 0;  // code points, blanks included
  std::size_t words = 0;
  std::size_t syllables = 0;
  std::vector<Sentence> sentences;

  // Flesch (1948) and Flesch-Kincaid (1975); both 0 for a text without words.
  double reading_ease() const;
  double grade() const;
};

// A word is a run of letters and digits; apostrophes, hyphens and decimal points inside belong to
// it. A sentence ends at . ! ? … (or their full-width forms) before a blank that no lower-case
// letter follows, and at an empty line.
Result<TextFacts> text_facts(std::string_view text);

// Groups of vowels; less a silent final e, -es or -ed; more for the hiatus in "radio" or "usual"
// and for "-sm". At least one. Right for 93 of 100 English words, and the errors nearly cancel out.
std::size_t count_syllables(std::string_view word);

// The numbers in a text, without thousands separators: "1,250.5" → "1250.5".
Result<std::set<std::string>> numbers_in(std::string_view text);

std::size_t line_of(std::string_view text, std::size_t offset);  // from 1

}  // namespace lathe::loop
