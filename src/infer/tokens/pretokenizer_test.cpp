// The oracle is PCRE2 with the expressions as the vocabularies publish them: another engine, other
// tables of the same Unicode version.
#include "infer/tokens/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <gtest/gtest.h>
#include <pcre2.h>

#include <chrono>
#include <random>
#include <vector>

#include "ground/base/text.h"

namespace lathe::infer {
namespace {

using Regexes = std::vector<std::string>;

class Pcre {
 public:
  explicit Pcre(const std::string& pattern) {
    int error = 0;
    std::size_t offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    EXPECT_NE(code_, nullptr) << pattern << " at " << offset;
    data_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  Pcre(Pcre&& other) noexcept
      : code_(std::exchange(other.code_, nullptr)), data_(std::exchange(other.data_, nullptr)) {}
  Pcre& operator=(Pcre&&) = delete;
  ~Pcre() {
    pcre2_match_data_free(data_);
    pcre2_code_free(code_);
  }

  std::vector<std::string> split(const std::vector<std::string>& pieces) const {
    std::vector<std::string> out;
    for (const std::string& piece : pieces) {
      const auto* subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
      std::size_t at = 0;
      while (at < piece.size() &&
             pcre2_match(code_, subject, piece.size(), at, 0, data_, nullptr) > 0) {
        const std::size_t* found = pcre2_get_ovector_pointer(data_);
        if (found[0] > at) out.push_back(piece.substr(at, found[0] - at));
        out.push_back(piece.substr(found[0], found[1] - found[0]));
        at = found[1];
      }
      if (at < piece.size()) out.push_back(piece.substr(at));
    }
    return out;
  }

 private:
  pcre2_code* code_;
  pcre2_match_data* data_;
};

const std::string kContractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const std::string kTail = R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string kUpperFirst =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)";
const std::string kUpperOnly =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)";
const std::string kDeepseekLetters =
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-"
    "ჅᎠ-"
    "Ᏽᏸ-"
    "ᏽᲐ-"
    "ᲺᲽ-"
    "Ჿᴀ-"
    "ᴫᵫ-"
    "ᵷᵹ-"
    "ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-"
    "ὗὙὛὝὟ-\u1F7Dᾀ-ᾴᾶ-ᾼ\u1FBEῂ-ῄῆ-ῌῐ-\u1FD3ῖ-\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212A-ℭℯ-ℴℹℼ-ℿⅅ-"
    "ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-"
    "ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ\U00010400-"
    "\U0001044F\U000104B0-"
    "\U000104D3\U000104D8-"
    "\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-"
    "\U0001E943";

std::string llama3(const std::string& letters, const std::string& number) {
  return kContractions + R"(|[^\r\n\p{L}\p{N}]?[)" + letters + "]+|" + number + R"(| ?[^\s)" +
         letters + R"(\p{N}]+[\r\n]*|)" + kTail;
}

// Its authors write the classes as intersections with what is not Chinese.
std::string kimi_word(const std::string& upper, const std::string& lower) {
  return R"([^\r\n\p{L}\p{N}]?(?:(?!\p{sc:Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]))" + upper +
         R"((?:(?!\p{sc:Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}]))" + lower + kContractions + "?";
}

struct Case {
  std::string name;
  Regexes regexes;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"llama-bpe", {llama3(R"(\p{L})", R"(\p{N}{1,3})")}},
      {"qwen2", {llama3(R"(\p{L})", R"(\p{N})")}},
      {"qwen35", {llama3(R"(\p{L}\p{M})", R"(\p{N})")}},
      {"gpt-2", {kGpt2}},
      {"starcoder", {R"(\p{N})", kGpt2}},
      {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"}},
      {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {"deepseek-llm",
       {R"([\r\n])", R"(\s?[)" + kDeepseekLetters + "]+", R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)",
        R"(\s+$)", "[一-龥\u0800-一가-\uD7FF]+", R"(\p{N}+)"}},
      {"deepseek-coder",
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥\u0800-一가-\uD7FF]+", R"(\p{N})"}},
      {"deepseek-v3",
       {R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+",
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" +
            kTail}},
      {"gpt-4o",
       {kUpperFirst + kContractions + "?|" + kUpperOnly + kContractions +
        R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" + kTail}},
      {"seed-coder",
       {kContractions + R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|)" + kTail}},
      {"kimi-k2",
       {R"(\p{sc:Han}+|)" + kimi_word("*", "+") + "|" + kimi_word("+", "*") +
        R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" + kTail}},
      {"tekken",
       {kUpperFirst + "|" + kUpperOnly + R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" + kTail}},
  };
  return kCases;
}

std::vector<std::string> split_with(const std::string& name, std::string_view text) {
  std::vector<std::string> pieces;
  split_pieces(find_pretokenizer(name)->stages, text,
               [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

// Characters from every class that an expression tells apart, the rare ones included.
std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> kBits{
      " ",      " ",          "  ",         "\n",     "\r",     "\r\n",   "\t",         "a",
      "b",      "Z",          "X",          "é",      "Ä",      "Я",      "ж",          "\u01C5",
      "\u02B0", "中",         "あ",         "ア",     "가",     "ह",      "\u093F",     "\u094D",
      "\u0301", "\u0300",     "\u20DD",     "1",      "23",     "456",    "٣",          "Ⅷ",
      "½",      "'",          "'s",         "'S",     "'LL",    "'re",    "'\u017F",    "!",
      ".",      "-",          "$",          "+",      "`",      "|",      "^",          "/",
      "~",      "<",          "「",         "。",     "\u3000", "！",     "々",         "〇",
      "\u2E80", "\U00020000", "\U0002FA1D", "🦙",   "\u200D", "\u00A0", "\u2028",     "\u0085",
      "\u000B", "\u000C",     "\u0001",     "\u200B", "\u1F7E", "\u1F7D", "\U00010400", "\uFFFD",
      "\u0378", "₿"};
  std::string out;
  const int length = std::uniform_int_distribution<int>(0, 24)(random);
  // Few different bits a text: then neighbours repeat.
  const std::size_t from = random() % kBits.size(), kinds = 1 + random() % kBits.size();
  for (int i = 0; i < length; ++i) out += kBits[(from + random() % kinds * 7) % kBits.size()];
  return out;
}

TEST(PreTokenizer, SplitsAsPcre2) {
  std::mt19937 random(7);
  for (const Case& each : cases()) {
    std::vector<Pcre> oracle;
    for (const std::string& regex : each.regexes) oracle.emplace_back(regex);
    for (int round = 0; round < 20000; ++round) {
      const std::string text = random_text(random);
      std::vector<std::string> wanted;
      if (!text.empty()) wanted.push_back(text);
      for (const Pcre& regex : oracle) wanted = regex.split(wanted);
      ASSERT_EQ(split_with(each.name, text), wanted) << each.name << ": '" << text << "'";
    }
  }
}

TEST(PreTokenizer, KnowsWhatPcre2KnowsOfEveryCharacter) {
  const Pcre letter(R"(\p{L}+)"), number(R"(\p{N}+)"), mark(R"(\p{M}+)"), upper(R"(\p{Lu}+)"),
      lower(R"(\p{Ll}+)"), punctuation(R"(\p{P}+)"), symbol(R"(\p{S}+)");
  const auto in = [](const Pcre& regex, const std::string& text) {
    return regex.split({"\t" + text}).size() == 2;
  };
  for (char32_t code = 0x80; code < 0x20000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(text, code);
    const Character c = character_at(text, 0);
    ASSERT_TRUE(c.code == code);
    ASSERT_EQ(c.is(kLetters), in(letter, text)) << std::hex << static_cast<unsigned>(code);
    ASSERT_EQ(c.is(kNumbers), in(number, text)) << std::hex << static_cast<unsigned>(code);
    ASSERT_EQ(c.is(kMarks), in(mark, text)) << std::hex << static_cast<unsigned>(code);
    ASSERT_EQ(c.is(set_of(UnicodeCategory::kLu)), in(upper, text))
        << std::hex << static_cast<unsigned>(code);
    ASSERT_EQ(c.is(set_of(UnicodeCategory::kLl)), in(lower, text))
        << std::hex << static_cast<unsigned>(code);
    ASSERT_EQ(c.is(kPunctuations), in(punctuation, text))
        << std::hex << static_cast<unsigned>(code);
    ASSERT_EQ(c.is(kSymbols), in(symbol, text)) << std::hex << static_cast<unsigned>(code);
  }
}

TEST(PreTokenizer, LosesNoByteOfInvalidText) {
  std::mt19937 random(11);
  for (const Case& each : cases())
    for (int round = 0; round < 3000; ++round) {
      std::string text = random_text(random);
      for (char& c : text)
        if (random() % 5 == 0) c = static_cast<char>(random());
      ASSERT_EQ(join(split_with(each.name, text), ""), text) << each.name;
    }
}

// Quadratic would be 4·10¹⁰ steps: the test's time limit would end it.
TEST(PreTokenizer, LongRunsAreWalkedOnce) {
  for (const Case& each : cases())
    for (const std::string bit :
         {" ",    "a", "A",    "\n",     "\t",  "\u3000",  "\u0301",     "é",
          "中",   "1", ".",    "々",     "〇",  "\u2E80",  "\U00020000", "\U0002FA1D",
          "🦙", "'", "\xFF", "\u02B0", " \n", "\u0301A", "\u02B0A"}) {
      std::string text;
      for (int i = 0; i < 200'000; ++i) text += bit;
      std::size_t bytes = 0;
      split_pieces(find_pretokenizer(each.name)->stages, text + "x",
                   [&](std::string_view piece) { bytes += piece.size(); });
      EXPECT_EQ(bytes, text.size() + 1) << each.name;
    }
}

TEST(PreTokenizer, NamesAreKnownOrNot) {
  EXPECT_NE(find_pretokenizer("llama-bpe"), nullptr);
  EXPECT_EQ(find_pretokenizer("afmoe"), nullptr);
  EXPECT_NE(known_pretokenizers().find("deepseek-r1-qwen"), std::string::npos);
}

}  // namespace
}  // namespace lathe::infer
