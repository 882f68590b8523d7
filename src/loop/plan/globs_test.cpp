// Whether two globs can match one path, against all short paths.
#include "loop/plan/globs.h"

#include <gtest/gtest.h>

#include "ground/base/random.h"
#include "ground/base/text.h"

namespace lathe::loop {
namespace {

// All paths of up to `length` characters of a, b and '/', as trees have them.
std::vector<std::string> short_paths(std::size_t length) {
  std::vector<std::string> all{""}, paths;
  for (std::size_t from = 0; all.back().size() < length;) {
    const std::size_t to = all.size();
    for (; from < to; ++from)
      for (const char c : {'a', 'b', '/'}) all.push_back(all[from] + c);
  }
  for (const std::string& path : all)
    if (!path.empty() && path.front() != '/' && path.back() != '/' && path.find("//") == path.npos)
      paths.push_back(path);
  return paths;
}

std::string random_glob(std::uint64_t seed) {
  constexpr std::string_view kParts[] = {"a", "b", "/", "*", "**", "?", "**/", "/**", "a/"};
  std::string glob;
  const std::uint64_t parts = 1 + random_at(seed, 1, 0) % 5;
  for (std::uint64_t i = 0; i < parts; ++i)
    glob += kParts[random_at(seed, 2, i) % std::size(kParts)];
  return glob;
}

TEST(Globs, NeverMissAPathThatBothMatch) {
  const std::vector<std::string> paths = short_paths(6);
  int met = 0, apart = 0;
  for (std::uint64_t seed = 0; seed < 4'000; ++seed) {
    const std::string a = random_glob(2 * seed), b = random_glob(2 * seed + 1);
    const bool both = std::ranges::any_of(
        paths, [&](const std::string& path) { return glob_match(a, path) && glob_match(b, path); });
    const bool said = globs_overlap(a, b);
    EXPECT_EQ(said, globs_overlap(b, a)) << a << " " << b;
    if (both) {
      EXPECT_TRUE(said) << a << " " << b;
    }
    met += both;
    apart += !said;
  }
  EXPECT_GT(met, 500);
  EXPECT_GT(apart, 200) << "it says yes to everything";
}

TEST(Globs, ToldApart) {
  constexpr std::pair<const char*, const char*> kApart[] = {
      {"src/a.py", "src/b.py"},       {"src/*.py", "src/*.cpp"}, {"src/*.py", "src/x/y.py"},
      {"src/**", "tests/**"},         {"a/?.py", "a/bc.py"},     {"**/x.py", "src/y.py"},
      {"src/report/**", "src/report"}};
  for (const auto& [a, b] : kApart) EXPECT_FALSE(globs_overlap(a, b)) << a << " " << b;
  constexpr std::pair<const char*, const char*> kMeet[] = {{"**", "anything/at/all"},
                                                           {"src/**/x.py", "src/x.py"},
                                                           {"src/*_test.py", "src/a_*.py"},
                                                           {"A.py", "a.py"},
                                                           {"**", "**"},
                                                           {"s*/a", "src/?"}};
  for (const auto& [a, b] : kMeet) EXPECT_TRUE(globs_overlap(a, b)) << a << " " << b;
}

TEST(Globs, AFileIsNoDirectoryOfOthers) {
  EXPECT_TRUE(writes_overlap("src/report", "src/report/csv.py"));
  EXPECT_TRUE(writes_overlap("src/report/csv.py", "src/report"));
  EXPECT_FALSE(writes_overlap("src/report", "src/reports/csv.py"));
  EXPECT_FALSE(writes_overlap("src/*", "src/report/csv.py"));
}

TEST(Globs, WhatLiesWithin) {
  EXPECT_TRUE(lies_within("src/**", "src"));
  EXPECT_TRUE(lies_within("src/a/*.py", "src/a"));
  EXPECT_TRUE(lies_within("x", "."));
  EXPECT_TRUE(lies_within("secrets.env", "secrets.env"));
  EXPECT_FALSE(lies_within("src*", "src"));
  EXPECT_FALSE(lies_within("srcs/a", "src"));
  EXPECT_FALSE(lies_within("**", "src"));
}

TEST(Globs, LongOnesTakeNoTime) {
  std::string a, b;
  for (int i = 0; i < 40; ++i) a += "*a?b", b += "**b*";
  EXPECT_TRUE(globs_overlap(a, b));
}

}  // namespace
}  // namespace lathe::loop
