// Words, sentences, syllables, numbers of a text.
#include "loop/judges/text_facts.h"

#include <algorithm>
#include <array>

#include "ground/base/text.h"
#include "ground/schema/json_value.h"
#include "ground/schema/regex.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);
constexpr std::string_view kWord =
    R"([\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:(?:['’\-‐]|[.,](?=\p{N}))[\p{L}\p{N}\p{M}]+)*)";
constexpr std::string_view kSentenceEnd =
    R"([.!?…]+["'”’»)\]]*(?=\s+[^\s\p{Ll}]|\s*\z)|[。！？]+|\n[ \t\r]*\n)";

bool is_vowel(char c) {
  return std::string_view("aeiouy").find(c) != std::string_view::npos;
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> endings) {
  return std::ranges::any_of(endings, [&](std::string_view each) { return text.ends_with(each); });
}

// Vowels that stand side by side but are spoken apart.
bool is_hiatus(std::string_view word, std::size_t i) {
  const std::string_view pair = word.substr(i, 2);
  const char before = i > 0 ? word[i - 1] : ' ';
  const auto after_any = [&](std::string_view letters) {
    return letters.find(before) != letters.npos;
  };
  if (pair == "ia" || pair == "io") return !after_any("ctsgx");
  if (pair == "iu" || pair == "yi") return true;
  if (pair == "eo") return !after_any("gp");
  if (pair == "ua") return !after_any("qg");
  return false;
}

Result<std::vector<Match>> find_all(std::string_view pattern, std::string_view text) {
  LATHE_TRY(const Regex regex, Regex::compile(pattern, Regex::Flavour::kText));
  return regex.find_all(text, kNoLimit);
}

}  // namespace

std::size_t count_syllables(std::string_view original) {
  const std::string lower = to_lower_ascii(original);
  const std::string_view word = lower;
  std::size_t count = 0;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (!is_vowel(word[i])) continue;
    if (i == 0 || !is_vowel(word[i - 1]) || is_hiatus(word, i - 1)) ++count;
  }
  const auto consonant_at = [&](std::size_t from_end) {
    return word.size() >= from_end && !is_vowel(word[word.size() - from_end]);
  };
  bool silent = false;
  if (word.ends_with('e'))
    silent = consonant_at(2) && !(word.ends_with("le") && consonant_at(3));
  else if (word.ends_with("es"))
    silent = consonant_at(3) && !(word.ends_with("les") && consonant_at(4)) &&
             !ends_with_any(word, {"ses", "xes", "zes", "ches", "shes", "ces", "ges"});
  else if (word.ends_with("ed"))
    silent = consonant_at(3) && !ends_with_any(word, {"ted", "ded"});
  if (silent && count > 1) --count;
  if (ends_with_any(word, {"sm", "sms", "thm", "thms"})) ++count;
  return std::max<std::size_t>(count, 1);
}

Result<TextFacts> text_facts(std::string_view text) {
  TextFacts facts;
  LATHE_TRY(const std::vector<Match> words, find_all(kWord, text));
  LATHE_TRY(const std::vector<Match> ends, find_all(kSentenceEnd, text));
  facts.characters = count_code_points(text);
  facts.words = words.size();
  std::size_t next_end = 0;
  bool open = false;
  for (const Match& word : words) {
    facts.syllables += count_syllables(text.substr(word.begin, word.end - word.begin));
    for (; next_end < ends.size() && ends[next_end].begin < word.begin; ++next_end) open = false;
    if (!open) facts.sentences.push_back({word.begin, 0});
    open = true;
    ++facts.sentences.back().words;
  }
  return facts;
}

double TextFacts::reading_ease() const {
  if (words == 0) return 0;
  const auto w = static_cast<double>(words);
  return 206.835 - 1.015 * w / static_cast<double>(sentences.size()) -
         84.6 * static_cast<double>(syllables) / w;
}

double TextFacts::grade() const {
  if (words == 0) return 0;
  const auto w = static_cast<double>(words);
  return 0.39 * w / static_cast<double>(sentences.size()) +
         11.8 * static_cast<double>(syllables) / w - 15.59;
}

Result<std::set<std::string>> numbers_in(std::string_view text) {
  LATHE_TRY(const std::vector<Match> matches,
            find_all(R"(\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)*)", text));
  std::set<std::string> numbers;
  for (const Match& each : matches)
    numbers.insert(replace_all(text.substr(each.begin, each.end - each.begin), ",", ""));
  return numbers;
}

std::size_t line_of(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(std::ranges::count(text.substr(0, offset), '\n'));
}

}  // namespace lathe::loop
