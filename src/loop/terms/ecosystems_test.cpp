// Kinds of projects by their files, on hand-made trees.
#include "loop/terms/ecosystems.h"

#include <gtest/gtest.h>

#include "loop/terms/terms.h"
#include "loop/terms/write_rule.h"

namespace lathe::loop {
namespace {

// The name of the project in a directory with these files; "": none.
std::string project_of(const std::vector<std::string>& files) {
  const TempDir dir = TempDir::make("lathe-project").value();
  Changes changes;
  for (const std::string& file : files) changes.files[file] = "x";
  EXPECT_TRUE(apply_changes(changes, dir.path()));
  const auto found = find_project(dir.path());
  return found ? std::string(found->ecosystem->name) : "";
}

TEST(Ecosystems, AreToldByTheirFiles) {
  for (const auto& [file, name] :
       std::vector<std::pair<std::string, std::string>>{{"Cargo.toml", "Rust (Cargo)"},
                                                        {"go.mod", "Go"},
                                                        {"go.work", "Go"},
                                                        {"pom.xml", "Java (Maven)"},
                                                        {"build.gradle", "Java (Gradle)"},
                                                        {"settings.gradle.kts", "Java (Gradle)"},
                                                        {"package.json", "Node"},
                                                        {"pyproject.toml", "Python"},
                                                        {"setup.py", "Python"},
                                                        {"uv.lock", "Python"},
                                                        {"requirements-dev.txt", "Python"},
                                                        {"m.py", "Python"},
                                                        {"CMakeLists.txt", "C++ (CMake)"},
                                                        {"meson.build", "C++ (Meson)"},
                                                        {"Makefile", "Make"},
                                                        {"README.md", ""},
                                                        {"src/Cargo.toml", ""}})
    EXPECT_EQ(project_of({file, "LICENSE"}), name) << file;
  EXPECT_EQ(project_of({"Makefile", "Cargo.toml"}), "Rust (Cargo)");
  EXPECT_EQ(project_of({"Makefile", "CMakeLists.txt"}), "C++ (CMake)");
}

TEST(Ecosystems, ValuesNameWhatIsThereAndProtectWhatDecides) {
  const TempDir dir = TempDir::make("lathe-project").value();
  ASSERT_TRUE(apply_changes({{{"proj/.venv/bin/python", "x"}, {"home/.pyenv/shims/python", "x"}}},
                            dir.path()));
  for (const Ecosystem& each : ecosystems()) {
    const Json values = project_values(each, dir.path() / "proj", dir.path() / "home");
    const WriteRule rule = WriteRule::of(values["make"]);
    EXPECT_FALSE(rule.may_write.empty()) << each.name;
    for (const std::string_view marker : each.markers)
      EXPECT_EQ(marker == "*.py", rule.allows(marker).has_value()) << each.name << marker;
    if (each.name != "Python") continue;
    EXPECT_EQ(values["unit"]["read_only"], (Json{".venv", "~/.pyenv"}));
    EXPECT_EQ(values["unit"]["path"], (Json{".venv/bin", "~/.pyenv/shims"}));
    EXPECT_TRUE(rule.allows("src/money.py"));
    EXPECT_FALSE(rule.allows("tests/test_money.py"));
    EXPECT_FALSE(rule.allows("pkg/test_x.py"));
  }
}

TEST(Ecosystems, PathsAreBelowHomeOrTheProject) {
  EXPECT_EQ(expand_path("~/.cargo", "/p", "/home/u"), "/home/u/.cargo");
  EXPECT_EQ(expand_path(".venv", "/p", "/home/u"), "/p/.venv");
  EXPECT_EQ(expand_path("/opt/x", "/p", "/home/u"), "/opt/x");
}

}  // namespace
}  // namespace lathe::loop
