// The judge of limits that can be counted.
#include <cmath>

#include "ground/base/text.h"
#include "ground/schema/regex.h"
#include "loop/judges/judge.h"
#include "loop/judges/text_facts.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxPlaces = 5;  // reported for one broken limit

constexpr OptionSpec kOptions[] = {
    {"min_words", OptionType::kInteger, {}, "at least so many words"},
    {"max_words", OptionType::kInteger, {}, "at most so many words"},
    {"min_chars", OptionType::kInteger, {}, "at least so many characters, blanks included"},
    {"max_chars", OptionType::kInteger, {}, "at most so many characters"},
    {"max_sentence_words", OptionType::kInteger, {}, "no sentence has more words"},
    {"min_reading_ease", OptionType::kNumber, {}, "Flesch reading ease, English: 60 is plain"},
    {"max_reading_ease", OptionType::kNumber, {}, "at most this reading ease"},
    {"max_grade", OptionType::kNumber, {}, "Flesch-Kincaid grade, English: school years needed"},
    {"required_words", OptionType::kStrings, "[]", "words or phrases that must appear"},
    {"forbidden_words", OptionType::kStrings, "[]", "words or phrases that must not appear"},
    {"required_patterns", OptionType::kStrings, "[]", "regular expressions that must match"},
    {"forbidden_patterns", OptionType::kStrings, "[]", "regular expressions that must not match"},
    {"keep_numbers", OptionType::kBool, "false", "every number of the unit's text must appear"},
};

// A pattern for a whole word or phrase, in any case, over any blanks.
std::string word_pattern(std::string_view words) {
  std::string pattern = R"((?i)(?<![\p{L}\p{N}]))";
  bool blank = false;
  for (const char c : trim(words)) {
    if (c == ' ' || c == '\t' || c == '\n') {
      blank = true;
      continue;
    }
    if (std::exchange(blank, false)) pattern += R"(\s+)";
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       static_cast<unsigned char>(c) >= 0x80;
    if (!plain) pattern += '\\';
    pattern += c;
  }
  return pattern + R"((?![\p{L}\p{N}]))";
}

Status check(const Json& options) {
  bool any = option_bool(options, "keep_numbers");
  for (const auto& [key, value] : options.items()) {
    any = any || value.is_number() || (value.is_array() && !value.empty());
    if (value.is_number_integer() && value.get<std::int64_t>() < 0 && !key.ends_with("_ease"))
      return invalid("'{}' must be 0 or more", key);
  }
  if (!any) return invalid("sets no limit: give at least one, like max_words");
  for (const char* key : {"required_words", "forbidden_words"})
    for (const std::string& word : option_strings(options, key)) {
      if (trim(word).empty() || find_invalid_utf8(word) != std::string::npos)
        return invalid("'{}' holds an empty or unreadable word", key);
      if (auto regex = Regex::compile(word_pattern(word), Regex::Flavour::kText); !regex)
        return at(key, std::move(regex).error());
    }
  for (const char* key : {"required_patterns", "forbidden_patterns"})
    for (const std::string& pattern : option_strings(options, key))
      if (auto regex = Regex::compile(pattern, Regex::Flavour::kText); !regex)
        return at(key, std::move(regex).error());
  return {};
}

class Checker {
 public:
  Checker(const Json& options, std::string_view text, TextFacts facts)
      : options_(options), text_(text), facts_(std::move(facts)) {}

  Status run(std::string_view source) {
    const auto words = static_cast<double>(facts_.words);
    const auto characters = static_cast<double>(facts_.characters);
    limit("min_words", words, "has {} words, but needs at least {}", -1);
    limit("max_words", words, "has {} words, but may have at most {}", 1);
    limit("min_chars", characters, "has {} characters, but needs at least {}", -1);
    limit("max_chars", characters, "has {} characters, but may have at most {}", 1);
    const double ease = std::round(facts_.reading_ease() * 10) / 10;
    limit("min_reading_ease", ease, "has a reading ease of {}, but needs at least {}", -1);
    limit("max_reading_ease", ease, "has a reading ease of {}, but may have at most {}", 1);
    limit("max_grade", std::round(facts_.grade() * 10) / 10,
          "needs {} years of school to be read, but may need at most {}", 1);
    sentences();
    for (const std::string& word : option_strings(options_, "required_words"))
      LATHE_TRY_STATUS(required("required_words", word, word_pattern(word), "the word"));
    for (const std::string& pattern : option_strings(options_, "required_patterns"))
      LATHE_TRY_STATUS(required("required_patterns", pattern, pattern, "the pattern"));
    for (const std::string& word : option_strings(options_, "forbidden_words"))
      LATHE_TRY_STATUS(forbidden("forbidden_words", word, word_pattern(word), "the word"));
    for (const std::string& pattern : option_strings(options_, "forbidden_patterns"))
      LATHE_TRY_STATUS(forbidden("forbidden_patterns", pattern, pattern, "the pattern"));
    return option_bool(options_, "keep_numbers") ? numbers(source) : Status();
  }

  Judgement result(const std::string& candidate) && {
    Judgement judgement;
    judgement.candidate = candidate;
    judgement.score = static_cast<double>(held_) / static_cast<double>(std::max(limits_, 1));
    judgement.outcome = critiques_.empty() ? Outcome::kPass : Outcome::kFail;
    std::size_t longest = 0;
    for (const Sentence& each : facts_.sentences) longest = std::max(longest, each.words);
    judgement.evidence = {{"words", facts_.words},
                          {"characters", facts_.characters},
                          {"sentences", facts_.sentences.size()},
                          {"longest_sentence_words", longest},
                          {"reading_ease", std::round(facts_.reading_ease() * 10) / 10},
                          {"grade", std::round(facts_.grade() * 10) / 10},
                          {"limits", limits_},
                          {"held", held_}};
    judgement.critiques = std::move(critiques_);
    return judgement;
  }

 private:
  // Every limit is counted once, whether it holds or not.
  bool held(bool holds) {
    ++limits_;
    held_ += holds ? 1 : 0;
    return holds;
  }

  void complain(std::string_view key, std::string locus, std::string claim, std::string evidence) {
    std::string fingerprint = fmt::format("text:{}:{}", key, evidence);
    critiques_.push_back({std::move(locus), "must", std::move(claim), clip_utf8(evidence, 300),
                          clip_utf8(fingerprint, 200)});
  }

  // `side`: 1 when the limit is an upper one, -1 when it is a lower one.
  void limit(std::string_view key, double measured, std::string_view words, int side) {
    if (!options_.contains(key)) return;
    const double bound = option_number(options_, key);
    if (held(side > 0 ? measured <= bound : measured >= bound)) return;
    complain(key, "", "The text " + fmt::format(fmt::runtime(words), measured, bound) + ".",
             std::string(key));
  }

  std::string locus(std::size_t offset) const {
    return fmt::format("line {}", line_of(text_, offset));
  }
  std::string line_at(std::size_t offset) const {
    const auto begin = offset == 0 ? text_.npos : text_.rfind('\n', offset - 1);
    const auto rest = text_.substr(begin == text_.npos ? 0 : begin + 1);
    return std::string(rest.substr(0, rest.find('\n')));
  }

  void sentences() {
    if (!options_.contains("max_sentence_words")) return;
    const auto most = static_cast<std::size_t>(option_int(options_, "max_sentence_words"));
    std::size_t places = 0;
    for (const Sentence& each : facts_.sentences)
      if (each.words > most && ++places <= kMaxPlaces)
        complain("max_sentence_words", locus(each.begin),
                 fmt::format("A sentence has {} words, but may have at most {}.", each.words, most),
                 clip_utf8(text_.substr(each.begin), 80));
    held(places == 0);
  }

  Status required(std::string_view key, const std::string& name, const std::string& pattern,
                  std::string_view what) {
    LATHE_TRY(const Regex regex, Regex::compile(pattern, Regex::Flavour::kText));
    LATHE_TRY(const auto found, regex.find(text_));
    if (!held(found.has_value()))
      complain(key, "", fmt::format("The text lacks {} '{}'.", what, clip_utf8(name, 100)), name);
    return {};
  }

  Status forbidden(std::string_view key, const std::string& name, const std::string& pattern,
                   std::string_view what) {
    LATHE_TRY(const Regex regex, Regex::compile(pattern, Regex::Flavour::kText));
    LATHE_TRY(const std::vector<Match> matches, regex.find_all(text_, kMaxPlaces));
    for (const Match& each : matches)
      complain(key, locus(each.begin),
               fmt::format("The text must not hold {} '{}'.", what, clip_utf8(name, 100)),
               line_at(each.begin));
    held(matches.empty());
    return {};
  }

  Status numbers(std::string_view source) {
    LATHE_TRY(const std::set<std::string> wanted, numbers_in(source));
    LATHE_TRY(const std::set<std::string> found, numbers_in(text_));
    std::vector<std::string> missing;
    std::ranges::set_difference(wanted, found, std::back_inserter(missing));
    if (!held(missing.empty()))
      complain("keep_numbers", "",
               fmt::format("Numbers of the source are missing: {}.",
                           clip_utf8(join(missing, ", "), 200)),
               clip_utf8(join(missing, ", "), 200));
    return {};
  }

  const Json& options_;
  std::string_view text_;
  TextFacts facts_;
  int limits_ = 0;
  int held_ = 0;
  std::vector<Critique> critiques_;
};

Result<Judgement> judge(const JudgeTask& task, const JudgeContext&) {
  std::string joined, source;
  for (const Part& part : task.parts) joined += part.bytes + "\n\n";
  for (const Unit& unit : task.units) source += unit.text + '\n';
  for (const Part& part : task.parts) source += part.unit.text + '\n';
  const std::string_view text = task.scope == Scope::kWhole ? joined : task.bytes;
  if (const auto bad = find_invalid_utf8(text); bad != text.npos) {
    Judgement judgement;
    judgement.candidate = task.candidate;
    judgement.outcome = Outcome::kFail;
    judgement.critiques = {{"", "must", "The text is not valid UTF-8.",
                            fmt::format("first bad byte at {}", bad), "text:utf8"}};
    return judgement;
  }
  LATHE_TRY(TextFacts facts, text_facts(text));
  Checker checker(task.options, text, std::move(facts));
  LATHE_TRY_STATUS(checker.run(make_valid_utf8(source)));
  return std::move(checker).result(task.candidate);
}

}  // namespace

extern const JudgeKind kTextJudge;
const JudgeKind kTextJudge{
    .name = "text",
    .summary = "measurable limits of a text: length, readability, words, patterns, numbers kept",
    .options = kOptions,
    .stage = Stage::kMeasure,
    .can_whole = true,
    .check = check,
    .judge = judge,
};

}  // namespace lathe::loop
