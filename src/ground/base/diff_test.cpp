// Patches that git takes, of any edits.
#include "ground/base/diff.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "ground/base/file.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

using Text = std::optional<std::string>;

// The oracle: `git apply` turns the one into the other, in a directory that is no repository.
void expect_applies(const std::string& path, const Text& before, const Text& after) {
  const auto dir = TempDir::make();
  ASSERT_TRUE(make_directories((dir->path() / path).parent_path()));
  if (before) {
    ASSERT_TRUE(write_file_atomic(dir->path() / path, *before));
  }
  const std::string patch = file_patch(path, before, after);
  if (before == after) {
    EXPECT_EQ(patch, "");
    return;
  }
  ASSERT_TRUE(write_file_atomic(dir->path() / "changes.patch", patch));
  const std::string command =
      fmt::format("cd '{}' && git apply --whitespace=nowarn changes.patch", dir->path().string());
  ASSERT_EQ(std::system(command.c_str()), 0) << patch;
  const auto now = read_file(dir->path() / path);
  EXPECT_EQ(now ? Text(*now) : Text(), after) << patch;
}

TEST(FilePatch, GitTakesIt) {
  const std::string ten = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";
  const std::pair<Text, Text> cases[] = {
      {ten, replace_all(ten, "5", "five")},
      {ten, "0\n" + ten},
      {ten, ten + "11\n"},
      {ten, ten + "11"},
      {ten + "11", ten},
      {"a", "b"},
      {"a", "a\n"},
      {ten, replace_all(replace_all(ten, "1\n2", "x\n2"), "9", "y")},
      {ten, ""},
      {"", ten},
      {Text(), ten},
      {ten, Text()},
      {Text(), ""},
      {"", Text()},
      {ten, ten},
      {"a\r\nb\r\n", "a\r\nc\r\n"},
      {"ä\n", "ö\n"},
  };
  for (const auto& [before, after] : cases) expect_applies("src/a.txt", before, after);
  expect_applies("with a blank/b c.txt", ten, replace_all(ten, "5", "five"));
  expect_applies("with a blank/b c.txt", Text(), ten);
}

TEST(FilePatch, GitTakesAnyEdits) {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    std::string texts[2];
    for (int line = 0; line < 60; ++line) {
      const std::string same = fmt::format("line {}\n", random() % 5);
      const auto what = random() % 12;
      if (what != 0) texts[0] += same;
      if (what != 1) texts[1] += what == 2 ? same + "new\n" : same;
    }
    for (std::string& text : texts)
      if (random() % 3 == 0 && !text.empty()) text.pop_back();
    expect_applies("a", texts[0], texts[1]);
  }
}

}  // namespace
}  // namespace lathe
