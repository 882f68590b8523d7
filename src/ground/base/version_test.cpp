// The program's version is the build's and the newest that the change log tells of.
#include "ground/base/version.h"

#include <gmock/gmock.h>

#include "ground/base/file.h"

namespace lathe {
namespace {

std::string between(const std::string& text, const std::string& before, const std::string& after) {
  const std::size_t begin = text.find(before) + before.size();
  return text.substr(begin, text.find(after, begin) - begin);
}

TEST(Version, IsThatOfTheBuildAndOfTheChangeLog) {
  const fs::path source = LATHE_SOURCE_DIR;
  const std::string build = read_file(source / "CMakeLists.txt").value();
  const std::string log = read_file(source / "CHANGELOG.md").value();
  EXPECT_EQ(program_version(), between(build, "project(lathe VERSION ", " "));
  EXPECT_EQ(program_version(), between(log, "\n## ", " "));
}

}  // namespace
}  // namespace lathe
