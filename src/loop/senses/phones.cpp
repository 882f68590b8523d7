// Pronunciations in CMU's form and in the voices'.
#include "loop/senses/phones.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

struct Phone {
  std::string_view cmu;
  std::string_view espeak;
  bool vowel = false;
};

constexpr std::array<Phone, 39> kPhones{{
    {"AA", "A:", true}, {"AE", "a", true},  {"AH", "V", true}, {"AO", "O:", true},
    {"AW", "aU", true}, {"AY", "aI", true}, {"B", "b"},        {"CH", "tS"},
    {"D", "d"},         {"DH", "D"},        {"EH", "E", true}, {"ER", "3:", true},
    {"EY", "eI", true}, {"F", "f"},         {"G", "g"},        {"HH", "h"},
    {"IH", "I", true},  {"IY", "i:", true}, {"JH", "dZ"},      {"K", "k"},
    {"L", "l"},         {"M", "m"},         {"N", "n"},        {"NG", "N"},
    {"OW", "oU", true}, {"OY", "OI", true}, {"P", "p"},        {"R", "r"},
    {"S", "s"},         {"SH", "S"},        {"T", "t"},        {"TH", "T"},
    {"UH", "U", true},  {"UW", "u:", true}, {"V", "v"},        {"W", "w"},
    {"Y", "j"},         {"Z", "z"},         {"ZH", "Z"},
}};

// Spellings of espeak's English voices beyond the table's own, longest first where one begins
// another.
constexpr std::array<std::pair<std::string_view, std::string_view>, 41> kEspeakSounds{{
    {"aI@", "AY AH"}, {"aI3", "AY ER"}, {"aU@", "AW ER"}, {"i@3", "IH R"}, {"A@r", "AA R"},
    {"O@r", "AO R"},  {"o@r", "AO R"},  {"e@r", "EH R"},  {"i@r", "IH R"}, {"U@r", "UH R"},
    {"A@", "AA R"},   {"O@", "AO R"},   {"o@", "AO R"},   {"e@", "EH R"},  {"U@", "UH R"},
    {"i@", "IY AH"},  {"I2", "IH"},     {"I#", "IH"},     {"i:", "IY"},    {"u:", "UW"},
    {"O:", "AO"},     {"A:", "AA"},     {"3:", "ER"},     {"oU", "OW"},    {"eI", "EY"},
    {"aI", "AY"},     {"aU", "AW"},     {"OI", "OY"},     {"tS", "CH"},    {"dZ", "JH"},
    {"@L", "AH L"},   {"@2", "AH"},     {"@5", "AH"},     {"a#", "AH"},    {"E#", "EH"},
    {"0#", "AA"},     {"t#", "T"},      {"n-", "AH N"},   {"aa", "AE"},    {"IR", "ER"},
    {"VR", "ER"},
}};
constexpr std::array<std::pair<char, std::string_view>, 34> kEspeakLetters{{
    {'@', "AH"}, {'3', "ER"}, {'a', "AE"}, {'V', "AH"}, {'E', "EH"}, {'I', "IH"}, {'i', "IY"},
    {'0', "AA"}, {'O', "AO"}, {'U', "UH"}, {'u', "UW"}, {'b', "B"},  {'d', "D"},  {'D', "DH"},
    {'f', "F"},  {'g', "G"},  {'h', "HH"}, {'k', "K"},  {'l', "L"},  {'m', "M"},  {'n', "N"},
    {'N', "NG"}, {'p', "P"},  {'r', "R"},  {'s', "S"},  {'S', "SH"}, {'t', "T"},  {'T', "TH"},
    {'v', "V"},  {'w', "W"},  {'j', "Y"},  {'z', "Z"},  {'Z', "ZH"}, {'e', "EH"},
}};

struct Written {
  const Phone* phone = nullptr;
  char stress = 0;  // '0' … '2', 0: not written
};

std::optional<std::vector<Written>> parse(std::string_view written) {
  std::vector<Written> phones;
  for (const std::string& part : split(to_lower_ascii(written), ' ')) {
    if (trim(part).empty()) continue;
    std::string name(trim(part));
    Written one;
    if (name.back() >= '0' && name.back() <= '2') {
      one.stress = name.back();
      name.pop_back();
    }
    if (name == "ax") name = "ah";  // flite's reduced vowels
    if (name == "ix") name = "ih";
    if (name == "axr") name = "er";
    for (const Phone& phone : kPhones)
      if (to_lower_ascii(phone.cmu) == name) one.phone = &phone;
    if (!one.phone) return std::nullopt;
    phones.push_back(one);
  }
  if (phones.empty()) return std::nullopt;
  return phones;
}

// Where nothing is written: the first vowel that is not the reduced one carries the stress.
void stress(std::vector<Written>& phones) {
  const auto vowel = [](const Written& w) { return w.phone->vowel; };
  if (std::ranges::any_of(phones, [](const Written& w) { return w.stress != 0; })) {
    for (Written& w : phones)
      if (w.phone->vowel && w.stress == 0) w.stress = '0';
    return;
  }
  auto main = std::ranges::find_if(
      phones, [&](const Written& w) { return vowel(w) && w.phone->cmu != "AH"; });
  if (main == phones.end()) main = std::ranges::find_if(phones, vowel);
  for (auto it = phones.begin(); it != phones.end(); ++it)
    if (vowel(*it)) it->stress = it == main ? '1' : '0';
}

}  // namespace

std::optional<std::string> cmu_phones(std::string_view written) {
  const auto phones = parse(written);
  if (!phones) return std::nullopt;
  std::string out;
  for (const Written& w : *phones) {
    if (!out.empty()) out += ' ';
    out += w.phone->cmu;
  }
  return out;
}

std::string flite_phones(std::string_view written) {
  auto phones = parse(written);
  if (!phones) return {};
  stress(*phones);
  std::string out;
  for (const Written& w : *phones) {
    if (!out.empty()) out += ' ';
    const bool reduced = w.phone->cmu == "AH" && w.stress == '0';
    out += reduced ? std::string("ax") : to_lower_ascii(w.phone->cmu);
    if (w.phone->vowel) out += w.stress;
  }
  return out;
}

std::string espeak_phones(std::string_view written) {
  auto phones = parse(written);
  if (!phones) return {};
  stress(*phones);
  std::string out;
  for (const Written& w : *phones) {
    if (w.phone->vowel && w.stress == '1') out += '\'';
    const bool reduced = w.phone->cmu == "AH" && w.stress == '0';
    out += reduced ? std::string_view("@") : w.phone->espeak;
  }
  return out;
}

std::optional<std::string> cmu_from_espeak(std::string_view mnemonics) {
  std::string out;
  const auto add = [&](std::string_view phones) {
    if (!out.empty()) out += ' ';
    out += phones;
  };
  for (mnemonics = trim(mnemonics); !mnemonics.empty();) {
    constexpr std::string_view kMarks = "',%=_|:~;-? ";
    if (kMarks.find(mnemonics.front()) != kMarks.npos) {
      mnemonics.remove_prefix(1);
      continue;
    }
    const auto sound = std::ranges::find_if(
        kEspeakSounds, [&](const auto& each) { return mnemonics.starts_with(each.first); });
    if (sound != kEspeakSounds.end()) {
      add(sound->second);
      mnemonics.remove_prefix(sound->first.size());
      continue;
    }
    const auto letter = std::ranges::find(kEspeakLetters, mnemonics.front(),
                                          &std::pair<char, std::string_view>::first);
    if (letter == kEspeakLetters.end()) return std::nullopt;
    add(letter->second);
    mnemonics.remove_prefix(1);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

int phone_distance(std::string_view a, std::string_view b) {
  const auto left = split(a, ' '), right = split(b, ' ');
  std::vector<int> row(right.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < left.size(); ++i) {
    int diagonal = row[0]++;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const int substitute = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substitute, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string possessive_phones(std::string_view phones) {
  std::string last = to_lower_ascii(phones.substr(phones.rfind(' ') + 1));
  const auto is = [&](std::initializer_list<std::string_view> sounds) {
    return std::ranges::find(sounds, std::string_view(last)) != sounds.end();
  };
  return std::string(phones) + (is({"s", "z", "sh", "ch", "zh", "jh"}) ? " IH Z"
                                : is({"p", "t", "k", "f", "th"})       ? " S"
                                                                       : " Z");
}

std::optional<std::string> given_phones(const std::map<std::string, std::string>& pronounce,
                                        const std::string& word) {
  if (const auto given = pronounce.find(word); given != pronounce.end()) return given->second;
  if (!word.ends_with("'s")) return std::nullopt;
  const auto stem = pronounce.find(word.substr(0, word.size() - 2));
  if (stem == pronounce.end()) return std::nullopt;
  return possessive_phones(stem->second);
}

std::string replace_words(std::string_view text,
                          const std::function<std::string(const std::string& word)>& by) {
  std::string out, word;
  const auto flush = [&] {
    if (!word.empty()) out += by(word);
    word.clear();
  };
  for (const char c : text) {
    const bool letter =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c == '\'' && !word.empty());
    if (letter) {
      word += c;
    } else {
      flush();
      out += c;
    }
  }
  flush();
  return out;
}

int count_phones(std::string_view phones) {
  return trim(phones).empty() ? 0 : 1 + static_cast<int>(std::ranges::count(phones, ' '));
}

}  // namespace lathe::loop
