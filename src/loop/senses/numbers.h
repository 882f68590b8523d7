// Numbers as words, American English. Pure. Takes digits as text, so that no number is too long.
#pragma once

#include <string>
#include <string_view>

namespace lathe::loop {

// "312" → "three hundred twelve"; beyond 10^36 the digits are read one by one.
std::string cardinal_words(std::string_view digits);
std::string ordinal_words(std::string_view digits);    // "21" → "twenty first"
std::string year_words(std::string_view four_digits);  // "1984" → "nineteen eighty four"
std::string digit_words(std::string_view digits);      // "007" → "zero zero seven"
std::string plural_words(std::string words);           // "nineteen eighty" → "nineteen eighties"

}  // namespace lathe::loop
