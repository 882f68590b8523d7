// Numbers and units to words.
#include "loop/senses/numbers.h"

#include <array>
#include <vector>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

constexpr std::array<std::string_view, 20> kSmall{
    "zero",     "one",     "two",     "three",     "four",     "five",    "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array<std::string_view, 10> kTens{"",      "",      "twenty",  "thirty", "forty",
                                                 "fifty", "sixty", "seventy", "eighty", "ninety"};
constexpr std::array<std::string_view, 12> kScales{
    "",           "thousand",   "million",   "billion",   "trillion", "quadrillion", "quintillion",
    "sextillion", "septillion", "octillion", "nonillion", "decillion"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kOddOrdinals{
    {{"one", "first"},
     {"two", "second"},
     {"three", "third"},
     {"five", "fifth"},
     {"eight", "eighth"},
     {"nine", "ninth"},
     {"twelve", "twelfth"}}};

void add(std::string& words, std::string_view word) {
  if (!words.empty()) words += ' ';
  words += word;
}

std::string below_thousand(int n) {
  std::string words;
  if (n >= 100) {
    add(words, kSmall[static_cast<std::size_t>(n / 100)]);
    add(words, "hundred");
    n %= 100;
  }
  if (n >= 20) {
    add(words, kTens[static_cast<std::size_t>(n / 10)]);
    n %= 10;
  }
  if (n > 0) add(words, kSmall[static_cast<std::size_t>(n)]);
  return words;
}

int value_of(std::string_view digits) {
  int value = 0;
  for (const char c : digits) value = value * 10 + (c - '0');
  return value;
}

}  // namespace

std::string digit_words(std::string_view digits) {
  std::string words;
  for (const char c : digits)
    if (c >= '0' && c <= '9') add(words, kSmall[static_cast<std::size_t>(c - '0')]);
  return words;
}

std::string cardinal_words(std::string_view digits) {
  while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
  if (digits.empty()) return {};
  if (digits == "0") return std::string(kSmall[0]);
  if (digits.size() > 3 * kScales.size()) return digit_words(digits);
  std::string words;
  for (std::size_t left = digits.size(); left > 0;) {
    const std::size_t scale = (left - 1) / 3;
    const std::size_t take = left - 3 * scale;
    const int group = value_of(digits.substr(digits.size() - left, take));
    if (group > 0) {
      add(words, below_thousand(group));
      if (scale > 0) add(words, kScales[scale]);
    }
    left -= take;
  }
  return words;
}

std::string ordinal_words(std::string_view digits) {
  const std::string words = cardinal_words(digits);
  const auto blank = words.rfind(' ');
  const std::size_t from = blank == words.npos ? 0 : blank + 1;
  std::string last = words.substr(from);
  for (const auto& [cardinal, ordinal] : kOddOrdinals)
    if (last == cardinal) return words.substr(0, from) + std::string(ordinal);
  if (last.ends_with('y'))
    last = last.substr(0, last.size() - 1) + "ieth";
  else
    last += "th";
  return words.substr(0, from) + last;
}

std::string year_words(std::string_view year) {
  if (year.size() != 4) return cardinal_words(year);
  const std::string_view century = year.substr(0, 2), rest = year.substr(2);
  if (year[1] == '0' && rest[0] == '0') return cardinal_words(year);  // 2000 … 2009
  if (rest == "00") return cardinal_words(century) + " hundred";
  if (rest[0] == '0') return cardinal_words(century) + " oh " + cardinal_words(rest);
  return cardinal_words(century) + ' ' + cardinal_words(rest);
}

std::string plural_words(std::string words) {
  if (words.ends_with('y')) {
    words.pop_back();
    return words + "ies";
  }
  return words + (words.ends_with('x') ? "es" : "s");
}

}  // namespace lathe::loop
