// Splits text as a vocabulary's makers split it.
#include "infer/tokens/pretokenizer.h"

#include <algorithm>
#include <vector>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

constexpr CategorySet kAll = ~CategorySet{0};

std::size_t run_end(std::string_view text, std::size_t at, CategorySet set) {
  for (Character c; (c = character_at(text, at)).is(set);) at += c.bytes;
  return at;
}

bool is_newline(const Character& c) {
  return c.code == '\r' || c.code == '\n';
}

// '…s 't 're 've 'm 'll 'd
std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  if (at >= text.size() || text[at] != '\'') return 0;
  const auto letter = [&](std::size_t i) {
    const char c = at + i < text.size() ? text[at + i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l'))
    return 3;
  // The long s is an s in any case.
  if (any_case && text.substr(at).starts_with("'\u017F")) return 3;
  return 0;
}

// With newlines: \s*[\r\n]+|\s+(?!\S)|\s+   without: \s+(?!\S)|\s+
std::size_t spaces(std::string_view text, std::size_t at, bool newlines) {
  std::size_t end = at, last = at, after_newline = at;
  for (Character c; (c = character_at(text, end)).is(kSpaces);) {
    last = end;
    end += c.bytes;
    if (is_newline(c)) after_newline = end;
  }
  if (newlines && after_newline > at) return after_newline - at;
  if (end == text.size() || last == at) return end - at;
  return last - at;
}

// " ?[set]+[after]*", `after` being "\r\n" or "\r\n/"
std::size_t spaced_run(std::string_view text, std::size_t at, CategorySet set,
                       std::string_view after) {
  const std::size_t start = at + (at < text.size() && text[at] == ' ' ? 1 : 0);
  std::size_t end = run_end(text, start, set);
  if (end == start) return 0;
  while (end < text.size() && after.find(text[end]) != after.npos) ++end;
  return end - at;
}

// "\p{N}{1,n}"
template <int n>
std::size_t digits(std::string_view text, std::size_t at) {
  std::size_t end = at;
  Character c;
  for (int i = 0; i < n && (c = character_at(text, end)).is(kNumbers); ++i) end += c.bytes;
  return end - at;
}

std::size_t gpt2(std::string_view text, std::size_t at) {
  if (const auto bytes = contraction(text, at, false)) return bytes;
  for (const CategorySet set : {kLetters, kNumbers, kAll & ~(kSpaces | kLetters | kNumbers)})
    if (const auto bytes = spaced_run(text, at, set, "")) return bytes;
  return spaces(text, at, false);
}

// "[^\r\n<barrier>]?[letters]+"
std::size_t prefixed_letters(std::string_view text, std::size_t at, CategorySet letters,
                             CategorySet barrier) {
  const Character first = character_at(text, at);
  std::size_t start = at;
  if (!first.is(letters)) {
    if (first.bytes == 0 || is_newline(first) || first.is(barrier)) return 0;
    start += first.bytes;
  }
  const std::size_t end = run_end(text, start, letters);
  return end == start ? 0 : end - at;
}

// Llama 3, Qwen 2 and their like; `after`: whether newlines behind symbols belong to them
template <CategorySet letters, int digit_run, bool after = true>
std::size_t llama3(std::string_view text, std::size_t at) {
  if (const auto bytes = contraction(text, at, true)) return bytes;
  if (const auto bytes = prefixed_letters(text, at, letters, kLetters | kNumbers)) return bytes;
  if (const auto bytes = digits<digit_run>(text, at)) return bytes;
  if (const auto bytes =
          spaced_run(text, at, kAll & ~(kSpaces | letters | kNumbers), after ? "\r\n" : ""))
    return bytes;
  return spaces(text, at, true);
}

constexpr CategorySet kCaseless =
    set_of(UnicodeCategory::kLm) | set_of(UnicodeCategory::kLo) | kMarks;
constexpr CategorySet kUppercase =
    set_of(UnicodeCategory::kLu) | set_of(UnicodeCategory::kLt) | kCaseless;
constexpr CategorySet kLowercase = set_of(UnicodeCategory::kLl) | kCaseless;

// Whether a character is of a set, Chinese ones left out where `han` is false.
template <bool han>
bool is_cased(const Character& c, CategorySet set) {
  return c.is(set) && (han || !is_han(c.code));
}

template <bool han>
std::size_t cased_run_end(std::string_view text, std::size_t at, CategorySet set) {
  for (Character c; is_cased<han>(c = character_at(text, at), set);) at += c.bytes;
  return at;
}

// End of "[upper]*[lower]+" at `start`, or `start`. Going back from the longest [upper]* for a
// first [lower] is done by remembering the last character that is both.
template <bool han>
std::size_t lower_word_end(std::string_view text, std::size_t start) {
  std::size_t upper_end = start, after_both = start;
  for (Character c; is_cased<han>(c = character_at(text, upper_end), kUppercase);) {
    upper_end += c.bytes;
    if (c.is(kLowercase)) after_both = upper_end;
  }
  const std::size_t lower_end = cased_run_end<han>(text, upper_end, kLowercase);
  return lower_end > upper_end ? lower_end : after_both;
}

// "[^\r\n\p{L}\p{N}]?[upper]*[lower]+|[^\r\n\p{L}\p{N}]?[upper]+[lower]*"
template <bool han = true>
std::size_t cased_word(std::string_view text, std::size_t at) {
  const Character first = character_at(text, at);
  if (first.bytes == 0) return 0;
  const bool prefix = !is_newline(first) && !first.is(kLetters | kNumbers);
  const std::size_t start = at + (prefix ? first.bytes : 0);
  if (const auto end = lower_word_end<han>(text, start); end > start) return end - at;
  // A prefix that is a word itself.
  if (first.is(kMarks)) return lower_word_end<han>(text, at) - at;
  const std::size_t upper_end = cased_run_end<han>(text, start, kUppercase);
  return upper_end > start ? upper_end - at : 0;  // no [lower] follows: the first form had it
}

template <bool contractions, int digit_run>
std::size_t gpt4o(std::string_view text, std::size_t at) {
  if (const auto bytes = cased_word(text, at))
    return bytes + (contractions ? contraction(text, at + bytes, true) : 0);
  if (const auto bytes = digits<digit_run>(text, at)) return bytes;
  if (const auto bytes = spaced_run(text, at, kAll & ~(kSpaces | kLetters | kNumbers), "\r\n/"))
    return bytes;
  return spaces(text, at, true);
}

// Kimi K2: Chinese characters stand apart from words.
std::size_t kimi(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (Character c; is_han((c = character_at(text, end)).code);) end += c.bytes;
  if (end > at) return end - at;
  if (const auto bytes = cased_word<false>(text, at))
    return bytes + contraction(text, at + bytes, true);
  if (const auto bytes = digits<3>(text, at)) return bytes;
  if (const auto bytes = spaced_run(text, at, kAll & ~(kSpaces | kLetters | kNumbers), "\r\n"))
    return bytes;
  return spaces(text, at, true);
}

// "[^\n]+|[\n]+"
std::size_t line(std::string_view text, std::size_t at) {
  const std::size_t end = text[at] == '\n' ? text.find_first_not_of('\n', at) : text.find('\n', at);
  return std::min(end, text.size()) - at;
}

// "[\p{P}\$\+<=>\^~\|]+", with or without the backtick
template <bool backtick>
std::size_t falcon_punctuation(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (Character c; (c = character_at(text, end)).bytes > 0; end += c.bytes) {
    const bool listed =
        c.code < 0x80 &&
        std::string_view("$+<=>^~|").find(static_cast<char>(c.code)) != std::string_view::npos;
    if (!c.is(kPunctuations) && !listed && !(backtick && c.code == '`')) break;
  }
  return end - at;
}

std::size_t three_ascii_digits(std::string_view text, std::size_t at) {
  const auto digit = [&](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  return digit(at) && digit(at + 1) && digit(at + 2) ? 3 : 0;
}

std::size_t number_run(std::string_view text, std::size_t at) {
  return run_end(text, at, kNumbers) - at;
}

std::size_t one_newline(std::string_view text, std::size_t at) {
  return text[at] == '\r' || text[at] == '\n' ? 1 : 0;
}

// "\s?" and then one or more characters that `wanted` takes
template <class Wanted>
std::size_t after_space(std::string_view text, std::size_t at, const Wanted& wanted) {
  const Character first = character_at(text, at);
  const std::size_t start = at + (first.is(kSpaces) ? first.bytes : 0);
  const auto end_from = [&](std::size_t end) {
    for (Character c; (c = character_at(text, end)).bytes > 0 && wanted(c);) end += c.bytes;
    return end;
  };
  const std::size_t end = end_from(start);
  if (end > start) return end - at;
  // The space itself may be wanted (U+3000): then it need not be the optional one.
  return start > at && wanted(first) ? end_from(at) - at : 0;
}

std::size_t spaced_letters(std::string_view text, std::size_t at) {
  return after_space(text, at, [](const Character& c) { return c.is(kLetters); });
}
std::size_t spaced_punctuation(std::string_view text, std::size_t at) {
  return after_space(text, at, [](const Character& c) { return c.is(kPunctuations); });
}
std::size_t deepseek_letters(std::string_view text, std::size_t at) {
  return after_space(text, at, [](const Character& c) { return is_deepseek_letter(c.code); });
}
// "\s?[!-/:-~！-／：-～‘-‟　-。]+"
std::size_t deepseek_punctuation(std::string_view text, std::size_t at) {
  return after_space(text, at, [](const Character& c) {
    const auto in = [&](char32_t first, char32_t last) {
      return c.code >= first && c.code <= last;
    };
    return in('!', '/') || in(':', '~') || in(0xFF01, 0xFF0F) || in(0xFF1A, 0xFF5E) ||
           in(0x2018, 0x201F) || in(0x3000, 0x3002);
  });
}

// "\s+$": only where a run begins, so that a run is walked once.
std::size_t spaces_at_end(std::string_view text, std::size_t at) {
  if (!character_at(text, at).is(kSpaces)) return 0;
  std::size_t before = at == 0 ? 0 : at - 1;
  while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xC0U) == 0x80U) --before;
  if (before < at && character_at(text, before).is(kSpaces)) return 0;
  const std::size_t end = run_end(text, at, kSpaces);
  return end == text.size() ? end - at : 0;
}

// "[一-龥ࠀ-一가-퟿]+"
std::size_t deepseek_east_asian(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (Character c; (c = character_at(text, end)).bytes > 0; end += c.bytes)
    if (!(c.code >= 0x800 && c.code <= 0x9FA5) && !(c.code >= 0xAC00 && c.code <= 0xD7FF)) break;
  return end - at;
}

// "[一-龥぀-ゟ゠-ヿ]+"
std::size_t deepseek3_east_asian(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (Character c; (c = character_at(text, end)).bytes > 0; end += c.bytes)
    if (!(c.code >= 0x4E00 && c.code <= 0x9FA5) && !(c.code >= 0x3040 && c.code <= 0x30FF)) break;
  return end - at;
}

// "[ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" and
// spaces with newlines
std::size_t deepseek3(std::string_view text, std::size_t at) {
  const auto ascii_letter = [&](std::size_t i) {
    return i < text.size() &&
           ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'));
  };
  const Character first = character_at(text, at);
  if (first.code < 0x80 && first.is(kPunctuations | kSymbols) && ascii_letter(at + 1)) {
    std::size_t end = at + 1;
    while (ascii_letter(end)) ++end;
    return end - at;
  }
  if (const auto bytes =
          prefixed_letters(text, at, kLetters | kMarks, kLetters | kPunctuations | kSymbols))
    return bytes;
  if (const auto bytes = spaced_run(text, at, kPunctuations | kSymbols, "\r\n")) return bytes;
  return spaces(text, at, true);
}

constexpr PieceMatcher kLlama3Stages[] = {llama3<kLetters, 3>};
constexpr PieceMatcher kQwen2Stages[] = {llama3<kLetters, 1>};
constexpr PieceMatcher kQwen35Stages[] = {llama3<kLetters | kMarks, 1>};
constexpr PieceMatcher kGpt2Stages[] = {gpt2};
constexpr PieceMatcher kStarcoderStages[] = {digits<1>, gpt2};
constexpr PieceMatcher kFalconStages[] = {falcon_punctuation<true>, gpt2, three_ascii_digits};
constexpr PieceMatcher kDefaultStages[] = {falcon_punctuation<false>, gpt2, number_run,
                                           three_ascii_digits};
constexpr PieceMatcher kDeepseekLlmStages[] = {one_newline,          deepseek_letters,
                                               deepseek_punctuation, spaces_at_end,
                                               deepseek_east_asian,  number_run};
constexpr PieceMatcher kDeepseekCoderStages[] = {one_newline, spaced_letters, spaced_punctuation,
                                                 deepseek_east_asian, digits<1>};
constexpr PieceMatcher kDeepseek3Stages[] = {digits<3>, deepseek3_east_asian, deepseek3};
constexpr PieceMatcher kGpt4oStages[] = {gpt4o<true, 3>};
constexpr PieceMatcher kTekkenStages[] = {gpt4o<false, 1>};
constexpr PieceMatcher kSeedStages[] = {llama3<kLetters, 1, false>};
constexpr PieceMatcher kKimiStages[] = {kimi};
constexpr PieceMatcher kLineStages[] = {line};

constexpr std::string_view kLlama3Names[] = {"llama-bpe", "llama3",    "llama-v3",
                                             "falcon3",   "falcon-h1", "pixtral",
                                             "midm-2.0",  "lfm2",      "jina-v5-nano"};
constexpr std::string_view kDbrxNames[] = {"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"};
constexpr std::string_view kQwen2Names[] = {"qwen2",     "deepseek-r1-qwen", "kormo",
                                            "f2llmv2",   "megrez",           "hunyuan",
                                            "stablelm2", "solar-open",       "grok-2"};
constexpr std::string_view kQwen35Names[] = {"qwen35"};
constexpr std::string_view kGpt2Names[] = {
    "gpt-2",    "phi-2",      "mpt",        "olmo",           "jais",   "trillion",
    "gigachat", "a.x-4.0",    "exaone4",    "modern-bert",    "mellum", "jina-es",
    "jina-de",  "jina-v2-es", "jina-v2-de", "granite-docling"};
constexpr std::string_view kRobertaNames[] = {"roberta-bpe", "jina-v1-en", "jina-v2-code"};
constexpr std::string_view kStarcoderNames[] = {"starcoder", "refact", "command-r",  "smollm",
                                                "codeshell", "exaone", "minerva-7b", "mellum2"};
constexpr std::string_view kFalconNames[] = {"falcon"};
constexpr std::string_view kDefaultNames[] = {"default"};
constexpr std::string_view kDeepseekLlmNames[] = {"deepseek-llm"};
constexpr std::string_view kDeepseekCoderNames[] = {"deepseek-coder"};
constexpr std::string_view kDeepseek3Names[] = {"deepseek-v3", "hunyuan-dense", "joyai-llm"};
constexpr std::string_view kGpt4oNames[] = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"};
constexpr std::string_view kTekkenNames[] = {"tekken"};
constexpr std::string_view kSeedNames[] = {"seed-coder"};
constexpr std::string_view kKimiNames[] = {"kimi-k2"};

constexpr PreTokenizer kPreTokenizers[] = {
    {.names = kLlama3Names, .stages = kLlama3Stages, .ignore_merges = true, .add_bos = true},
    {.names = kDbrxNames, .stages = kLlama3Stages},
    {.names = kQwen2Names, .stages = kQwen2Stages},
    {.names = kQwen35Names, .stages = kQwen35Stages},
    {.names = kGpt2Names, .stages = kGpt2Stages},
    {.names = kRobertaNames, .stages = kGpt2Stages, .add_separator = true},
    {.names = kStarcoderNames, .stages = kStarcoderStages},
    {.names = kFalconNames, .stages = kFalconStages},
    {.names = kDefaultNames, .stages = kDefaultStages},
    {.names = kDeepseekLlmNames, .stages = kDeepseekLlmStages},
    {.names = kDeepseekCoderNames, .stages = kDeepseekCoderStages},
    {.names = kDeepseek3Names, .stages = kDeepseek3Stages},
    {.names = kGpt4oNames, .stages = kGpt4oStages},
    {.names = kTekkenNames, .stages = kTekkenStages, .ignore_merges = true, .add_bos = true},
    {.names = kSeedNames, .stages = kSeedStages},
    {.names = kKimiNames, .stages = kKimiStages},
};

}  // namespace

const PreTokenizer* find_pretokenizer(std::string_view name) {
  for (const PreTokenizer& each : kPreTokenizers)
    if (std::ranges::find(each.names, name) != each.names.end()) return &each;
  return nullptr;
}

const PreTokenizer& line_pretokenizer() {
  static constexpr PreTokenizer kLines{.names = {}, .stages = kLineStages, .add_bos = true};
  return kLines;
}

std::string known_pretokenizers() {
  std::vector<std::string> names;
  for (const PreTokenizer& each : kPreTokenizers)
    names.insert(names.end(), each.names.begin(), each.names.end());
  return join(names, ", ");
}

}  // namespace lathe::infer
