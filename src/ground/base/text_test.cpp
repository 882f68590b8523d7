// UTF-8 over every code point, and cutting, splitting and replacing text.
#include "ground/base/text.h"

#include <gmock/gmock.h>

#include <random>

namespace lathe {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
constexpr auto npos = std::string_view::npos;

std::string encode(unsigned code) {
  std::string out;
  const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6), add(0x80 | (code & 63));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12), add(0x80 | (code >> 6 & 63)), add(0x80 | (code & 63));
  } else {
    add(0xF0 | code >> 18), add(0x80 | (code >> 12 & 63)), add(0x80 | (code >> 6 & 63)),
        add(0x80 | (code & 63));
  }
  return out;
}

TEST(Utf8, EveryCodePointExceptSurrogatesIsValid) {
  for (unsigned code = 0; code <= 0x10FFFF; ++code) {
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    ASSERT_EQ(find_invalid_utf8(encode(code)), surrogate ? 0 : npos) << code;
  }
  EXPECT_EQ(find_invalid_utf8(encode(0x110000)), 0U);
}

// The number of valid strings of n bytes follows from how many code points take 1, 2 and 3 bytes.
TEST(Utf8, CountOfValidShortStrings) {
  long valid2 = 0, valid3 = 0;
  for (unsigned a = 0; a < 256; ++a)
    for (unsigned b = 0; b < 256; ++b) {
      std::string text{static_cast<char>(a), static_cast<char>(b)};
      valid2 += find_invalid_utf8(text) == npos;
      text += ' ';
      for (unsigned c = 0; c < 256; c += 1) {
        text[2] = static_cast<char>(c);
        valid3 += find_invalid_utf8(text) == npos;
      }
    }
  EXPECT_EQ(valid2, 128L * 128 + 1920);
  EXPECT_EQ(valid3, 128L * 128 * 128 + 2L * 128 * 1920 + (63488 - 2048));
}

TEST(Utf8, PlaceOfTheFirstBadByte) {
  EXPECT_EQ(find_invalid_utf8(""), npos);
  EXPECT_EQ(find_invalid_utf8("aé\xC3"), 3U);
  EXPECT_EQ(find_invalid_utf8("\xC0\x80"), 0U);
  EXPECT_EQ(find_invalid_utf8("\xF0\x82\x82\xAC"), 0U);
  EXPECT_EQ(find_invalid_utf8(std::string_view("a\0b", 3)), npos);
}

TEST(Utf8, MadeValidAlwaysIsAndValidStays) {
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 12, ' ');
    for (char& c : bytes) c = static_cast<char>(random() % 2 ? random() : 0x80 | random() % 0x80);
    const std::string valid = make_valid_utf8(bytes);
    ASSERT_EQ(find_invalid_utf8(valid), npos);
    ASSERT_EQ(make_valid_utf8(valid), valid);
    if (find_invalid_utf8(bytes) == npos) {
      ASSERT_EQ(valid, bytes);
    }
  }
  EXPECT_EQ(make_valid_utf8("a\xff\xfe"), "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Clip, NeverSplitsASequence) {
  EXPECT_EQ(clip_utf8("abc", 3), "abc");
  EXPECT_EQ(clip_utf8("abcd", 3), "abc…");
  EXPECT_EQ(clip_utf8("aé", 2), "a…");
  EXPECT_EQ(clip_utf8("€uro", 1), "…");
  EXPECT_EQ(clip_utf8("x", 0), "…");
  EXPECT_EQ(clip_utf8("", 0), "");
  const std::string text = "aé€😀";
  for (std::size_t n = 0; n <= text.size(); ++n)
    EXPECT_EQ(find_invalid_utf8(clip_utf8(text, n)), npos) << n;
}

TEST(Trim, BlanksOnBothEnds) {
  EXPECT_EQ(trim(" \t\r\n a b \v\f"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_THAT(split("", ','), ElementsAre(""));
  EXPECT_THAT(split(",a,,b,", ','), ElementsAre("", "a", "", "b", ""));
  EXPECT_EQ(join(split("a/b//c", '/'), "/"), "a/b//c");
}

TEST(SplitLines, NewlinesOfBothKinds) {
  EXPECT_THAT(split_lines(""), IsEmpty());
  EXPECT_THAT(split_lines("\n"), ElementsAre(""));
  EXPECT_THAT(split_lines("a\r\nb\n\nc"), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(split_lines("a\n"), ElementsAre("a"));
  EXPECT_THAT(split_lines("a\r"), ElementsAre("a"));
  EXPECT_THAT(split_lines("a\rb"), ElementsAre("a\rb"));
}

TEST(ReplaceAll, DoesNotRescan) {
  EXPECT_EQ(replace_all("aaa", "a", "aa"), "aaaaaa");
  EXPECT_EQ(replace_all("aaa", "aa", "b"), "ba");
  EXPECT_EQ(replace_all("abc", "", "x"), "abc");
  EXPECT_EQ(replace_all("", "a", "x"), "");
}

TEST(Lower, OnlyAscii) {
  EXPECT_EQ(to_lower_ascii("AZaz@[É"), "azaz@[É");
}

std::size_t slow_distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  const std::size_t same = a[0] == b[0] ? 0 : 1;
  return std::min({slow_distance(a.substr(1), b.substr(1)) + same,
                   slow_distance(a.substr(1), b) + 1, slow_distance(a, b.substr(1)) + 1});
}

std::string random_text(std::mt19937& random, std::string_view letters, std::size_t max) {
  std::string text(random() % (max + 1), ' ');
  for (char& c : text) c = letters[random() % letters.size()];
  return text;
}

TEST(EditDistance, AgreesWithTheDefinition) {
  std::mt19937 random(2);
  for (int i = 0; i < 1000; ++i) {
    const std::string a = random_text(random, "ab", 6), b = random_text(random, "abc", 6);
    ASSERT_EQ(edit_distance(a, b), slow_distance(a, b)) << a << ' ' << b;
  }
}

TEST(DidYouMean, OffersOnlySlips) {
  const std::vector<std::string> names{"laps", "no_gain", "time", "energy"};
  EXPECT_EQ(did_you_mean("lap", names), "; did you mean 'laps'?");
  EXPECT_EQ(did_you_mean("Tiem", names), "; did you mean 'time'?") << "a swap counts as two";
  EXPECT_EQ(did_you_mean("nogain", names), "; did you mean 'no_gain'?");
  EXPECT_EQ(did_you_mean("colour", names), "");
  EXPECT_EQ(did_you_mean("x", {}), "");
  EXPECT_EQ(did_you_mean(std::string(1'000'000, 'x'), names), "");
}

// The definition, by recursion: exponential, but plainly right.
bool slow_glob(std::string_view p, std::string_view s, bool at_start) {
  if (p.empty()) return s.empty();
  if (p.starts_with("**")) {
    if (at_start && p.substr(2).starts_with("/")) {
      const std::string_view rest = p.substr(3);
      if (rest.empty()) return !s.empty();
      if (slow_glob(rest, s, true)) return !s.empty();
      for (std::size_t i = 0; i < s.size(); ++i)
        if (s[i] == '/' && slow_glob(rest, s.substr(i + 1), true)) return true;
      return false;
    }
    for (std::size_t i = 0; i <= s.size(); ++i)
      if (slow_glob(p.substr(2), s.substr(i), false)) return true;
    return false;
  }
  if (p[0] == '*') {
    for (std::size_t i = 0; i <= s.size(); ++i) {
      if (slow_glob(p.substr(1), s.substr(i), false)) return true;
      if (i < s.size() && s[i] == '/') break;
    }
    return false;
  }
  if (s.empty()) return false;
  if (p[0] == '?' ? s[0] == '/' : p[0] != s[0]) return false;
  return slow_glob(p.substr(1), s.substr(1), p[0] == '/');
}

bool is_path(std::string_view path) {
  return !path.empty() && !path.starts_with('/') && !path.ends_with('/') && path.find("//") == npos;
}

TEST(Glob, Examples) {
  EXPECT_TRUE(glob_match("src/**", "src/a/b.cpp"));
  EXPECT_TRUE(glob_match("src/**/*.cpp", "src/b.cpp"));
  EXPECT_TRUE(glob_match("**/*.h", "b.h"));
  EXPECT_TRUE(glob_match("**", "a/b"));
  EXPECT_TRUE(glob_match("a?c", "abc"));
  EXPECT_FALSE(glob_match("src/**", "src2/a"));
  EXPECT_FALSE(glob_match("src/*", "src/a/b"));
  EXPECT_FALSE(glob_match("*", "a/b"));
  EXPECT_FALSE(glob_match("a?c", "a/c"));
  EXPECT_FALSE(glob_match("tests/**", "tests"));
  EXPECT_FALSE(glob_match("a**/b", "ab"));
  EXPECT_FALSE(glob_match("", "a"));
}

TEST(Glob, AgreesWithTheDefinition) {
  std::mt19937 random(3);
  for (int i = 0; i < 200'000; ++i) {
    const std::string pattern = random_text(random, "ab/*?*", 7);
    const std::string path = random_text(random, "aab/", 7);
    // "***" and more stars in a row have no meaning of their own.
    if (!is_path(path) || pattern.find("***") != npos) continue;
    ASSERT_EQ(glob_match(pattern, path), slow_glob(pattern, path, true)) << pattern << "  " << path;
  }
}

TEST(Glob, HostilePatternsEnd) {
  std::string pattern, path(3000, 'a');
  for (int i = 0; i < 300; ++i) pattern += "*a**a";
  EXPECT_FALSE(glob_match(pattern + "b", path));
}

TEST(Base64, Rfc4648Vectors) {
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64("f"), "Zg==");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64("foo"), "Zm9v");
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64("\xff\xfe\xfd"), "//79");
}

}  // namespace
}  // namespace lathe
