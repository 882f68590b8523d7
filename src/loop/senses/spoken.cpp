// Text as it is spoken.
#include "loop/senses/spoken.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ground/base/text.h"
#include "loop/senses/addresses.h"
#include "loop/senses/ascii.h"
#include "loop/senses/numbers.h"

namespace lathe::loop {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 48> kAbbreviations{{
    {"Ph.D.", "p h d"},      {"Dr.", "Doctor"},       {"Mr.", "Mister"},
    {"Mrs.", "Missus"},      {"Ms.", "Miz"},          {"Prof.", "Professor"},
    {"St.", "Saint"},        {"Jr.", "Junior"},       {"Sr.", "Senior"},
    {"Capt.", "Captain"},    {"Gen.", "General"},     {"Lt.", "Lieutenant"},
    {"Col.", "Colonel"},     {"Rev.", "Reverend"},    {"Mt.", "Mount"},
    {"Ave.", "Avenue"},      {"Blvd.", "Boulevard"},  {"Inc.", "Incorporated"},
    {"Ltd.", "Limited"},     {"Co.", "Company"},      {"Corp.", "Corporation"},
    {"Dept.", "Department"}, {"dept.", "department"}, {"approx.", "approximately"},
    {"vs.", "versus"},       {"vs", "versus"},        {"etc.", "et cetera"},
    {"e.g.", "for example"}, {"i.e.", "that is"},     {"Jan.", "January"},
    {"Feb.", "February"},    {"Mar.", "March"},       {"Apr.", "April"},
    {"Aug.", "August"},      {"Sept.", "September"},  {"Sep.", "September"},
    {"Oct.", "October"},     {"Nov.", "November"},    {"Dec.", "December"},
    {"Mon.", "Monday"},      {"Tue.", "Tuesday"},     {"Wed.", "Wednesday"},
    {"Thu.", "Thursday"},    {"Fri.", "Friday"},      {"a.m.", "a m"},
    {"p.m.", "p m"},         {"A.M.", "a m"},         {"P.M.", "p m"},
}};

// After a number. Singular and plural.
struct UnitName {
  std::string_view symbol, one, many;
};
constexpr std::array<UnitName, 49> kUnits{{
    {"%", "percent", "percent"},
    {"°C", "degree Celsius", "degrees Celsius"},
    {"°F", "degree Fahrenheit", "degrees Fahrenheit"},
    {"°", "degree", "degrees"},
    {"km/h", "kilometer per hour", "kilometers per hour"},
    {"m/s", "meter per second", "meters per second"},
    {"mph", "mile per hour", "miles per hour"},
    {"km", "kilometer", "kilometers"},
    {"cm", "centimeter", "centimeters"},
    {"mm", "millimeter", "millimeters"},
    {"m", "meter", "meters"},
    {"kg", "kilogram", "kilograms"},
    {"mg", "milligram", "milligrams"},
    {"g", "gram", "grams"},
    {"lb", "pound", "pounds"},
    {"lbs", "pound", "pounds"},
    {"oz", "ounce", "ounces"},
    {"ft", "foot", "feet"},
    {"ml", "milliliter", "milliliters"},
    {"l", "liter", "liters"},
    {"L", "liter", "liters"},
    {"ms", "millisecond", "milliseconds"},
    {"s", "second", "seconds"},
    {"min", "minute", "minutes"},
    {"h", "hour", "hours"},
    {"hr", "hour", "hours"},
    {"hrs", "hour", "hours"},
    {"Hz", "hertz", "hertz"},
    {"kHz", "kilohertz", "kilohertz"},
    {"MHz", "megahertz", "megahertz"},
    {"GHz", "gigahertz", "gigahertz"},
    {"W", "watt", "watts"},
    {"kW", "kilowatt", "kilowatts"},
    {"MW", "megawatt", "megawatts"},
    {"kWh", "kilowatt hour", "kilowatt hours"},
    {"V", "volt", "volts"},
    {"A", "ampere", "amperes"},
    {"J", "joule", "joules"},
    {"kJ", "kilojoule", "kilojoules"},
    {"dB", "decibel", "decibels"},
    {"KB", "kilobyte", "kilobytes"},
    {"kB", "kilobyte", "kilobytes"},
    {"MB", "megabyte", "megabytes"},
    {"GB", "gigabyte", "gigabytes"},
    {"TB", "terabyte", "terabytes"},
    {"KiB", "kibibyte", "kibibytes"},
    {"MiB", "mebibyte", "mebibytes"},
    {"GiB", "gibibyte", "gibibytes"},
    {"x", "times", "times"},
}};

struct Currency {
  std::string_view symbol, one, many, cent, cents;
};
constexpr std::array<Currency, 4> kCurrencies{{{"$", "dollar", "dollars", "cent", "cents"},
                                               {"€", "euro", "euros", "cent", "cents"},
                                               {"£", "pound", "pounds", "penny", "pence"},
                                               {"¥", "yen", "yen", "sen", "sen"}}};
constexpr std::array<std::string_view, 5> kMagnitudes{"hundred", "thousand", "million", "billion",
                                                      "trillion"};

constexpr std::array<std::string_view, 12> kMonths{"January",   "February", "March",    "April",
                                                   "May",       "June",     "July",     "August",
                                                   "September", "October",  "November", "December"};

// Capitals that are spelled out although they could be read as a word.
constexpr std::array<std::string_view, 64> kSpelled{
    "AES", "AI",   "API", "ATM", "AWS", "CEO",  "CI",  "CIA", "CLI", "CPU",  "DIY", "DNA", "EOF",
    "ESP", "ETA",  "EU",  "EUR", "EV",  "FAQ",  "FBI", "GNU", "GPU", "HDMI", "IBM", "ID",  "IDE",
    "IEC", "IEEE", "IO",  "IP",  "IRC", "ISBN", "ISP", "IT",  "IoT", "LED",  "MIT", "NGO", "NLP",
    "NPU", "OCR",  "OS",  "RNA", "SDK", "SEO",  "SSD", "SUV", "TLS", "UAE",  "UFO", "UI",  "UK",
    "UN",  "URI",  "URL", "USA", "USB", "UTC",  "UTF", "UX",  "VAT", "VIP",  "XML"};

// Signs outside ASCII that have a plain form; other letters lose their accents.
constexpr std::array<Pair, 84> kFolds{{
    {"’", "'"},
    {"‘", "'"},
    {"“", " "},
    {"”", " "},
    {"„", " "},
    {"«", " "},
    {"»", " "},
    {"–", "-"},
    {"—", ", "},
    {"…", ". "},
    {"‑", "-"},
    {"−", "-"},
    {" ", " "},
    {" ", " "},
    {"×", " times "},
    {"÷", " divided by "},
    {"±", " plus or minus "},
    {"½", " 1/2"},
    {"¼", " 1/4"},
    {"¾", " 3/4"},
    {"²", " squared"},
    {"³", " cubed"},
    {"µ", "micro"},
    {"ß", "ss"},
    {"æ", "ae"},
    {"Æ", "Ae"},
    {"œ", "oe"},
    {"Œ", "Oe"},
    {"ø", "o"},
    {"Ø", "O"},
    {"à", "a"},
    {"á", "a"},
    {"â", "a"},
    {"ã", "a"},
    {"ä", "a"},
    {"å", "a"},
    {"ā", "a"},
    {"ç", "c"},
    {"č", "c"},
    {"ć", "c"},
    {"è", "e"},
    {"é", "e"},
    {"ê", "e"},
    {"ë", "e"},
    {"ę", "e"},
    {"ě", "e"},
    {"ì", "i"},
    {"í", "i"},
    {"î", "i"},
    {"ï", "i"},
    {"ł", "l"},
    {"ñ", "n"},
    {"ń", "n"},
    {"ň", "n"},
    {"ò", "o"},
    {"ó", "o"},
    {"ô", "o"},
    {"õ", "o"},
    {"ö", "o"},
    {"ō", "o"},
    {"ř", "r"},
    {"š", "s"},
    {"ś", "s"},
    {"ù", "u"},
    {"ú", "u"},
    {"û", "u"},
    {"ü", "u"},
    {"ū", "u"},
    {"ý", "y"},
    {"ÿ", "y"},
    {"ž", "z"},
    {"ź", "z"},
    {"À", "A"},
    {"Á", "A"},
    {"Ä", "A"},
    {"Å", "A"},
    {"Ç", "C"},
    {"È", "E"},
    {"É", "E"},
    {"Ö", "O"},
    {"Ü", "U"},
    {"Š", "S"},
    {"Ž", "Z"},
    {"Ł", "L"},
}};

constexpr std::string_view kClosing = ".,?!;:";

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_unit_sign(char c) {  // a letter, or a byte of "°"
  return is_letter(c) || c == '/' || c == '%' || static_cast<unsigned char>(c) >= 0x80;
}
bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_digit);
}

std::string fold(std::string_view text) {
  const std::string valid = make_valid_utf8(text);
  std::string out;
  out.reserve(valid.size());
  for (std::size_t i = 0; i < valid.size();) {
    if (static_cast<unsigned char>(valid[i]) < 0x80) {
      out += valid[i++];
      continue;
    }
    const std::string_view rest = std::string_view(valid).substr(i);
    const auto known = std::ranges::find_if(
        kFolds, [&](const Pair& pair) { return rest.starts_with(pair.first); });
    if (known != kFolds.end()) {
      out += known->second;
      i += known->first.size();
      continue;
    }
    // The currency and degree signs are read later; everything else has no sound.
    std::size_t length = 1;
    while (i + length < valid.size() &&
           (static_cast<unsigned char>(valid[i + length]) & 0xC0U) == 0x80U)
      ++length;
    const std::string_view sign = rest.substr(0, length);
    if (sign == "€" || sign == "£" || sign == "¥" || sign == "°")
      out += sign;
    else
      out += ' ';
    i += length;
  }
  return out;
}

// A number as written: 15,000 or 3.14 or 007.
struct Number {
  std::string whole;     // digits only
  std::string fraction;  // behind the point
  bool grouped = false;  // had commas
  std::size_t length = 0;
};

std::optional<Number> read_number(std::string_view text) {
  Number number;
  std::size_t i = 0;
  while (i < text.size() && is_digit(text[i])) ++i;
  if (i == 0) return std::nullopt;
  number.whole = text.substr(0, i);
  if (i <= 3)
    while (text.size() >= i + 4 && text[i] == ',' && all_digits(text.substr(i + 1, 3)) &&
           (text.size() == i + 4 || !is_digit(text[i + 4]))) {
      number.whole += text.substr(i + 1, 3);
      number.grouped = true;
      i += 4;
    }
  if (text.size() > i + 1 && text[i] == '.' && is_digit(text[i + 1])) {
    std::size_t end = i + 1;
    while (end < text.size() && is_digit(text[end])) ++end;
    number.fraction = text.substr(i + 1, end - i - 1);
    i = end;
  }
  number.length = i;
  return number;
}

std::string number_words(const Number& number) {
  const bool by_digit = number.whole.size() > 1 && number.whole[0] == '0';
  std::string words = by_digit ? digit_words(number.whole) : cardinal_words(number.whole);
  if (!number.fraction.empty()) words += " point " + digit_words(number.fraction);
  return words;
}

bool is_year(const Number& number) {
  return number.whole.size() == 4 && number.fraction.empty() && !number.grouped &&
         number.whole >= "1100" && number.whole <= "2099";
}

const UnitName* find_unit(std::string_view symbol) {
  const auto unit = std::ranges::find(kUnits, symbol, &UnitName::symbol);
  return unit == kUnits.end() ? nullptr : &*unit;
}

class Speaker {
 public:
  explicit Speaker(std::string_view text) {
    std::string current;
    for (const char c : fold(without_links(text))) {
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f') {
        if (!current.empty()) tokens_.push_back(std::move(current));
        current.clear();
      } else {
        current += c;
      }
    }
    if (!current.empty()) tokens_.push_back(std::move(current));
  }

  std::string say() {
    for (at_ = 0; at_ < tokens_.size(); ++at_)
      if (!phone()) token(tokens_[at_]);
    return std::move(out_);
  }

 private:
  void word(std::string_view words) {
    if (words.empty()) return;
    if (!out_.empty()) out_ += ' ';
    out_ += words;
  }

  void mark(char c) {
    if (out_.empty() || kClosing.find(out_.back()) != kClosing.npos) return;
    out_ += c == ';' || c == ':' ? ',' : c;
  }

  const std::string* next() const { return at_ + 1 < tokens_.size() ? &tokens_[at_ + 1] : nullptr; }

  bool phone() {
    constexpr std::array<std::string_view, 10> kCalls{
        "call", "phone", "tel", "telephone", "dial", "fax", "cell", "text", "mobile", "number"};
    const auto before = at_ > 0 ? words_of(tokens_[at_ - 1]) : std::vector<std::string>();
    const bool called = !before.empty() && std::ranges::find(kCalls, before.back()) != kCalls.end();
    const PhoneNumber found = phone_number(std::span(tokens_).subspan(at_), called);
    if (found.tokens == 0) return false;
    word(found.words);
    at_ += found.tokens - 1;
    if (kClosing.find(tokens_[at_].back()) != kClosing.npos) mark(tokens_[at_].back());
    return true;
  }

  void token(std::string_view text) {
    constexpr std::string_view kOpening = "\"'([{<*_`~#-";
    // "#5" is a number, "# Title" is markup; "-5" has its sign.
    if (text.size() > 1 && text[0] == '#' && is_digit(text[1])) {
      word("number");
      text.remove_prefix(1);
    }
    while (!text.empty() && kOpening.find(text[0]) != kOpening.npos &&
           !(text.size() > 1 && text[0] == '-' && is_digit(text[1])))
      text.remove_prefix(1);
    constexpr std::string_view kTail = "\"')]}>*_`~";
    std::string closing;
    for (;;) {
      while (!text.empty() && kTail.find(text.back()) != kTail.npos) text.remove_suffix(1);
      if (text.empty() || kClosing.find(text.back()) == kClosing.npos) break;
      if (abbreviation(text)) break;
      closing = text.back();
      text.remove_suffix(1);
    }
    if (text.empty() && tokens_[at_].find_first_not_of('-') == std::string::npos) mark(',');
    if (text.size() > 1 && text[0] == '-') {
      word("minus");
      text.remove_prefix(1);
    }
    if (const auto address = address_words(text))
      word(*address);
    else if (!text.empty())
      core(text);
    if (!closing.empty()) mark(closing[0]);
  }

  bool is_numero(std::string_view text) const {  // "No. 10", but not "No."
    return text == "No." && next() && is_digit((*next())[0]);
  }

  bool abbreviation(std::string_view text) const {
    return std::ranges::any_of(kAbbreviations,
                               [&](const Pair& pair) { return pair.first == text; }) ||
           initials(text) || is_numero(text);
  }

  static bool initials(std::string_view text) {  // "U.S.", "J."
    if (text.size() < 2 || text.size() > 12 || text.size() % 2 != 0) return false;
    for (std::size_t i = 0; i < text.size(); i += 2)
      if (!is_upper(text[i]) || text[i + 1] != '.') return false;
    return true;
  }

  void core(std::string_view text) {
    const bool street = at_ > 0 && is_upper(tokens_[at_ - 1][0]);
    if (text == "St." && street) return word("Street");
    for (const auto& [written, said] : kAbbreviations)
      if (text == written) {
        word(said);
        if (!next() && text.back() == '.') mark('.');
        return;
      }
    if (is_numero(text)) return word("number");
    if (initials(text)) return word(spelled(replace_all(text, ".", "")));
    if (money(text) || date(text) || clock_time(text) || fraction(text) || range(text)) return;
    pieces(text);
  }

  bool money(std::string_view text) {
    for (const Currency& currency : kCurrencies) {
      if (!text.starts_with(currency.symbol)) continue;
      const auto amount = read_number(text.substr(currency.symbol.size()));
      if (!amount) return false;
      const std::string_view rest = text.substr(currency.symbol.size() + amount->length);
      const bool magnitude =
          rest.empty() && next() &&
          std::ranges::find(kMagnitudes, words_of(*next()).empty() ? "" : words_of(*next())[0]) !=
              kMagnitudes.end();
      if (magnitude) {
        word(number_words(*amount));
        pending_ = currency.many;
        return true;
      }
      const bool cents = amount->fraction.size() == 2;
      Number whole = *amount;
      if (cents) whole.fraction.clear();
      word(number_words(whole));
      word(whole.whole == "1" && whole.fraction.empty() ? currency.one : currency.many);
      if (cents && amount->fraction != "00") {
        word("and");
        word(cardinal_words(amount->fraction));
        word(amount->fraction == "01" ? currency.cent : currency.cents);
      }
      pieces(rest);
      return true;
    }
    return false;
  }

  bool date(std::string_view text) {  // 2026-01-31
    if (text.size() != 10 || text[4] != '-' || text[7] != '-' || !all_digits(text.substr(0, 4)) ||
        !all_digits(text.substr(5, 2)) || !all_digits(text.substr(8, 2)))
      return false;
    const int month = (text[5] - '0') * 10 + (text[6] - '0');
    const int day = (text[8] - '0') * 10 + (text[9] - '0');
    if (month < 1 || month > 12 || day < 1 || day > 31) return false;
    word(kMonths[static_cast<std::size_t>(month - 1)]);
    word(ordinal_words(text.substr(8, 2)));
    word(year_words(text.substr(0, 4)));
    return true;
  }

  bool clock_time(std::string_view text) {  // 7:45, 19:05, 7:45pm
    const auto colon = text.find(':');
    if (colon == text.npos || colon < 1 || colon > 2 || text.size() < colon + 3) return false;
    const std::string_view hour = text.substr(0, colon), minute = text.substr(colon + 1, 2);
    if (!all_digits(hour) || !all_digits(minute) || minute > "59") return false;
    const std::string half = to_lower_ascii(text.substr(colon + 3));
    if (!half.empty() && half != "am" && half != "pm" && half != "a.m." && half != "p.m.")
      return false;
    word(cardinal_words(hour));
    if (minute == "00")
      word(half.empty() ? "o'clock" : "");
    else if (minute[0] == '0')
      word("oh " + cardinal_words(minute));
    else
      word(cardinal_words(minute));
    if (!half.empty()) word(half[0] == 'a' ? "a m" : "p m");
    return true;
  }

  bool fraction(std::string_view text) {  // 1/2, 3/4
    const auto slash = text.find('/');
    if (slash == text.npos) return false;
    const std::string_view above = text.substr(0, slash), below = text.substr(slash + 1);
    if (!all_digits(above) || !all_digits(below) || above.size() > 3 || below.size() > 3)
      return false;
    constexpr std::array<std::string_view, 15> kParts{"2",  "3",  "4",  "5",  "6",  "7",  "8",  "9",
                                                      "10", "12", "16", "20", "32", "64", "100"};
    const bool parts = std::ranges::find(kParts, below) != kParts.end();
    if (!parts || above.size() > below.size() || (above.size() == below.size() && above >= below)) {
      word(cardinal_words(above));  // 24/7, 9/11
      word(cardinal_words(below));
      return true;
    }
    // The "3/4" of "1 3/4".
    if (at_ > 0 && all_digits(tokens_[at_ - 1])) word("and");
    const bool one = above == "1";
    word(cardinal_words(above));
    if (below == "2")
      word(one ? "half" : "halves");
    else if (below == "4")
      word(one ? "quarter" : "quarters");
    else
      word(one ? ordinal_words(below) : plural_words(ordinal_words(below)));
    return true;
  }

  bool range(std::string_view text) {  // 10-20, 1914-1918
    const auto dash = text.find('-', 1);
    if (dash == text.npos || !all_digits(text.substr(0, dash))) return false;
    const auto to = read_number(text.substr(dash + 1));
    if (!to || text[0] == '0' || to->whole[0] == '0' || text.find('-', dash + 1) != text.npos)
      return false;
    pieces(text.substr(0, dash));
    word("to");
    pieces(text.substr(dash + 1));
    return true;
  }

  // Runs of digits, letters and signs, one after the other.
  void pieces(std::string_view text) {
    while (!text.empty()) {
      const char c = text[0];
      if (is_digit(c))
        text.remove_prefix(number(text));
      else if (is_letter(c) || c == '\'')
        text.remove_prefix(letters(text));
      else
        text.remove_prefix(sign(text));
    }
    if (!pending_.empty() && is_magnitude()) {
      word(pending_);
      pending_ = {};
    }
  }

  bool is_magnitude() const {
    const auto blank = out_.rfind(' ');
    const std::string_view last = std::string_view(out_).substr(blank == out_.npos ? 0 : blank + 1);
    return std::ranges::find(kMagnitudes, last) != kMagnitudes.end();
  }

  std::size_t number(std::string_view text) {
    const auto number = read_number(text);
    if (!number) return 1;
    const std::size_t used = number->length;
    const std::string_view rest = text.substr(used);
    std::size_t suffix = 0;
    while (suffix < rest.size() && is_unit_sign(rest[suffix])) ++suffix;
    const std::string_view tail = rest.substr(0, suffix);
    const bool ordinal =
        number->fraction.empty() && (tail == "st" || tail == "nd" || tail == "rd" || tail == "th");
    if (ordinal) {
      word(ordinal_words(number->whole));
      return used + suffix;
    }
    if (tail == "s" && number->fraction.empty() && number->whole.ends_with('0') &&
        number->whole.size() >= 2) {  // the 1980s, in her 30s
      word(plural_words(is_year(*number) ? year_words(number->whole)
                                         : cardinal_words(number->whole)));
      return used + suffix;
    }
    if (tail == "am" || tail == "pm") {
      word(number_words(*number));
      word(tail == "am" ? "a m" : "p m");
      return used + suffix;
    }
    if (const UnitName* unit = find_unit(tail)) {
      quantity(*number, *unit, rest.size() == suffix && describes(at_));
      return used + suffix;
    }
    // "a 128-GB box"
    if (rest.starts_with('-'))
      if (const UnitName* unit = find_unit(rest.substr(1))) {
        quantity(*number, *unit, true);
        return text.size();
      }
    // "5 km": the unit is a token of its own.
    if (rest.empty() && next()) {
      std::string_view symbol = *next();
      while (!symbol.empty() && kClosing.find(symbol.back()) != kClosing.npos)
        symbol.remove_suffix(1);
      const UnitName* unit = find_unit(symbol);
      // One letter may be anything: "section 5 A", "5 a day".
      if (unit && (symbol.size() > 1 || symbol == "%")) {
        quantity(*number, *unit, symbol.size() == next()->size() && describes(at_ + 1));
        ++at_;
        if (kClosing.find(tokens_[at_].back()) != kClosing.npos) mark(tokens_[at_].back());
        return used;
      }
    }
    if (rest.starts_with('.') && rest.size() > 1 && is_digit(rest[1])) {  // 1.2.3
      word(number_words(*number));
      return used;
    }
    word(rest.empty() && is_year(*number) ? year_words(number->whole) : number_words(*number));
    return used;
  }

  void quantity(const Number& number, const UnitName& unit, bool describes) {
    word(number_words(number));
    word(describes || (number.whole == "1" && number.fraction.empty()) ? unit.one : unit.many);
  }

  // Does the quantity that ends at this token say what kind of thing the next word is? "a 128 GB
  // box", "the old 5 km road"; not "the 5 km are", "a drive of 128 GB that".
  bool describes(std::size_t last) const {
    constexpr std::array<std::string_view, 18> kBefore{
        "a",    "an",  "the", "this", "that", "each",  "every", "another", "my",
        "your", "his", "her", "its",  "our",  "their", "one",   "any",     "no"};
    constexpr std::array<std::string_view, 40> kAfter{
        "a",    "an",   "and",  "are",  "as",   "at",  "be",   "by",    "can",  "could",
        "do",   "does", "each", "for",  "from", "had", "has",  "have",  "if",   "in",
        "into", "is",   "it",   "long", "must", "of",  "off",  "on",    "or",   "per",
        "than", "that", "the",  "then", "to",   "was", "were", "which", "will", "with"};
    if (last + 1 >= tokens_.size() || !is_letter(tokens_[last + 1][0])) return false;
    const auto after = words_of(tokens_[last + 1]);
    if (after.empty() || std::ranges::find(kAfter, after[0]) != kAfter.end()) return false;
    // An article just before it, or with one or two words in between.
    for (std::size_t back = 1; back <= 3 && back <= at_; ++back) {
      const std::string& before = tokens_[at_ - back];
      if (!is_letter(before[0]) || !is_letter(before.back())) return false;
      const std::string low = to_lower_ascii(before);
      if (std::ranges::find(kBefore, low) != kBefore.end()) return true;
      if (std::ranges::find(kAfter, low) != kAfter.end()) return false;
    }
    return false;
  }

  std::size_t letters(std::string_view text) {
    std::size_t end = 0;
    while (end < text.size() && (is_letter(text[end]) || text[end] == '\'')) ++end;
    std::string_view run = text.substr(0, end);
    while (run.starts_with('\'')) run.remove_prefix(1);
    while (run.ends_with('\'')) run.remove_suffix(1);
    const bool plural = run.size() > 2 && run.back() == 's' &&
                        std::ranges::all_of(run.substr(0, run.size() - 1), is_upper);
    const std::string_view capitals = plural ? run.substr(0, run.size() - 1) : run;
    const bool upper =
        capitals.size() >= 2 && capitals.size() <= 5 && std::ranges::all_of(capitals, is_upper);
    const bool vowels = capitals.find_first_of("AEIOUY") != capitals.npos;
    const bool listed = std::ranges::find(kSpelled, capitals) != kSpelled.end();
    if (upper && (!vowels || listed))
      word(spelled(capitals) + (plural ? "'s" : ""));
    else
      word(upper ? to_lower_ascii(run) : std::string(run));
    return end;
  }

  std::size_t sign(std::string_view text) {
    constexpr std::array<Pair, 10> kSigns{{{"&", "and"},
                                           {"+", "plus"},
                                           {"=", "equals"},
                                           {"@", "at"},
                                           {"%", "percent"},
                                           {"°C", "degrees Celsius"},
                                           {"°F", "degrees Fahrenheit"},
                                           {"°", "degrees"},
                                           {"€", "euros"},
                                           {"£", "pounds"}}};
    for (const auto& [written, said] : kSigns)
      if (text.starts_with(written)) {
        word(said);
        return written.size();
      }
    if (text.size() > 1 && text[0] == '.' && is_digit(text[1])) {
      word("point");
    } else if (text.size() > 1 && text[0] == '.' && is_letter(text[1]) && !out_.empty()) {
      word("dot");
    } else if (text[0] == ',' || text[0] == ':' || text[0] == ';') {
      mark(',');
    } else if (text[0] == '?' || text[0] == '!') {
      mark(text[0]);
    }
    return 1;  // every other sign is silent: a hyphen, a slash, a bracket, markup
  }

  std::vector<std::string> tokens_;
  std::size_t at_ = 0;
  std::string out_;
  std::string_view pending_;  // "$3 million": the currency comes behind the magnitude
};

}  // namespace

std::string spoken_text(std::string_view text) {
  return Speaker(text).say();
}

std::vector<std::string> sentences_of(std::string_view spoken) {
  std::vector<std::string> sentences;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < spoken.size(); ++i) {
    const bool last = i + 1 == spoken.size();
    const bool ends = std::string_view(".?!").find(spoken[i]) != std::string_view::npos &&
                      (last || spoken[i + 1] == ' ' || spoken[i + 1] == '\n');
    if (!ends && !last) continue;
    const std::string_view sentence = trim(spoken.substr(begin, i + 1 - begin));
    begin = i + 1;
    // What has no word, like a lone "...", belongs to the one before.
    if (!words_of(sentence).empty())
      sentences.emplace_back(sentence);
    else if (!sentences.empty() && !sentence.empty())
      sentences.back() += fmt::format(" {}", sentence);
  }
  return sentences;
}

std::vector<std::string> words_of(std::string_view spoken) {
  std::vector<std::string> words;
  std::string current;
  const auto flush = [&] {
    while (current.ends_with('\'')) current.pop_back();
    if (!current.empty()) words.push_back(std::move(current));
    current.clear();
  };
  for (const char c : to_lower_ascii(spoken)) {
    if ((c >= 'a' && c <= 'z') || (c == '\'' && !current.empty()))
      current += c;
    else
      flush();
  }
  flush();
  return words;
}

}  // namespace lathe::loop
