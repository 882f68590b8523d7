// What a candidate may write, however a path is spelled.
#include "loop/terms/write_rule.h"

#include <gtest/gtest.h>

#include "loop/terms/ecosystems.h"
#include "loop/terms/terms.h"

namespace lathe::loop {
namespace {

std::string why_not(const WriteRule& rule, std::string_view path) {
  const auto allowed = rule.allows(path);
  return allowed ? "" : allowed.error().message;
}

const WriteRule kAll{{"**"}, {"tests/**"}};

TEST(WriteRule, GlobsDecideAboutOrdinaryFiles) {
  const WriteRule rule{{"src/**", "include/*.h"}, {"src/secret.c"}};
  for (const char* path : {"src/a.c", "src/deep/b.py", "include/a.h", "src/git/a.c", "src/heads.c",
                           "src/build/a.c", "src/gitignore.c", "src/a~b.c", "src/config",
                           "src/hooks/x.c", "src/\u00fc \u4f60.txt", "src/[id]/(a)+page.ts"})
    EXPECT_EQ(why_not(rule, path), "") << path;
  EXPECT_NE(why_not(rule, "src/secret.c").find("protected"), std::string::npos);
  EXPECT_NE(why_not(rule, "lib/a.c").find("only src/**, include/*.h may"), std::string::npos);
  for (const char* path : {"", "/etc/passwd", "../a", "src/../a", "src//a"})
    EXPECT_NE(why_not(rule, path), "") << path;
}

TEST(WriteRule, VersionControlIsNeverWrittenHoweverItIsSpelled) {
  const WriteRule named{{"**", "src/.git/**", ".git/**", "**/.hg/**"}, {}};
  for (const char* path : {"src/.git/config",
                           "src/.git",
                           "src/.GIT/config",
                           "src/.Git/hooks/pre-commit",
                           ".git/HEAD",
                           "a/.git./config",
                           "a/.git /config",
                           "a/.git. ./config",
                           "a/.git:stream/x",
                           "a/.git::$INDEX_ALLOCATION/config",
                           "a/.g\u200cit/config",
                           "a/\ufeff.git/config",
                           "a/.gi\u202et/config",
                           "git~1/config",
                           "GIT~2/config",
                           "a\\.git\\config",
                           ".hg/hgrc",
                           "x/.svn/entries",
                           ".bzr/x",
                           "_darcs/prefs/defaults",
                           ".jj/x",
                           "a/.git\nx/config"}) {
    EXPECT_NE(why_not(kAll, path), "") << path;
    EXPECT_NE(why_not(named, path), "") << path;
  }
}

TEST(WriteRule, WhatIsObeyedOnSightMustBeSpelledOut) {
  for (const char* path : {".envrc",
                           "src/.envrc",
                           ".vscode/tasks.json",
                           ".idea/x.iml",
                           ".github/workflows/a.yml",
                           ".gitlab-ci.yml",
                           ".husky/pre-commit",
                           ".bashrc",
                           ".pre-commit-config.yaml",
                           ".devcontainer/devcontainer.json",
                           ".gitmodules",
                           ".gitattributes",
                           ".npmrc",
                           ".mocharc.js",
                           ".cargo/config.toml",
                           ".exrc",
                           ".dir-locals.el",
                           ".anything-new",
                           "src/g/HEAD",
                           "src/commondir",
                           "x.git/config",
                           "Jenkinsfile",
                           "docker-compose.yml",
                           "Dockerfile",
                           "flake.nix",
                           "a.code-workspace",
                           "CLAUDE.md",
                           "x/AGENTS.md"})
    EXPECT_NE(why_not(kAll, path).find("spells that name out"), std::string::npos) << path;
  const WriteRule named{{"**", ".github/workflows/*", "Dockerfile", "**/.envrc"}, {}};
  for (const char* path : {".github/workflows/a.yml", "Dockerfile", "x/.envrc"})
    EXPECT_EQ(why_not(named, path), "") << path;
  EXPECT_NE(why_not(named, ".github/CODEOWNERS"), "");
  EXPECT_NE(why_not(named, "x/Dockerfile"), "");
}

TEST(WriteRule, WhatDecidesHowTestsRunMustBeSpelledOut) {
  for (const char* path : {"conftest.py",
                           "src/conftest.py",
                           "src/Conftest.py",
                           "pytest.ini",
                           "setup.cfg",
                           "tox.ini",
                           "pyproject.toml",
                           "noxfile.py",
                           "sitecustomize.py",
                           "usercustomize.py",
                           "src/x.pth",
                           "src/x.egg-info/entry_points.txt",
                           "package.json",
                           "pnpm-workspace.yaml",
                           "jest.config.ts",
                           "vitest.config.mts",
                           "vite.config.js",
                           "babel.config.json",
                           "tsconfig.json",
                           "tsconfig.base.json",
                           "src/__mocks__/fs.js",
                           "node_modules/a/index.js",
                           "Makefile",
                           "src/Makefile",
                           "rules.mk",
                           "CMakeLists.txt",
                           "cmake/x.cmake",
                           "CMakePresets.json",
                           "meson.build",
                           "Cargo.toml",
                           "crates/a/build.rs",
                           "rust-toolchain.toml",
                           "go.mod",
                           "go.sum",
                           "go.work",
                           "pom.xml",
                           "mvnw",
                           "build.gradle",
                           "build.gradle.kts",
                           "settings.gradle",
                           "gradle/wrapper/gradle-wrapper.properties",
                           "buildSrc/src/x.java",
                           "META-INF/services/org.junit.platform.engine.TestEngine"})
    EXPECT_NE(why_not(kAll, path).find("spells that name out"), std::string::npos) << path;
  const WriteRule named{{"src/**", "package.json", "**/CMakeLists.txt", "cmake/*.cmake"}, {}};
  for (const char* path : {"package.json", "src/CMakeLists.txt", "cmake/x.cmake"})
    EXPECT_EQ(why_not(named, path), "") << path;
  EXPECT_NE(why_not(named, "src/package.json"), "");
}

TEST(WriteRule, WhatProtectsComesFirst) {
  EXPECT_NE(why_not({{"Makefile"}, {"Makefile"}}, "Makefile").find("protected"), std::string::npos);
}

TEST(WriteRule, WarnsOfOneThatHoldsNothingBack) {
  EXPECT_EQ((WriteRule{{"**"}, {}}).warnings().size(), 1U);
  EXPECT_EQ((WriteRule{{"src/**", "**/*"}, {}}).warnings().size(), 1U);
  EXPECT_TRUE((WriteRule{{"**"}, {"tests/**"}}).warnings().empty());
  EXPECT_TRUE((WriteRule{{"src/**"}, {}}).warnings().empty());
}

TEST(WriteRule, ADirectoryThatIsARepositoryIsOne) {
  const TempDir dir = TempDir::make("lathe-rule").value();
  ASSERT_TRUE(apply_changes({{{"t/bare/HEAD", "ref: refs/heads/main\n"},
                              {"t/bare/objects/x", "x"},
                              {"t/bare/refs/x", "x"},
                              {"t/linked/HEAD", "x"},
                              {"t/linked/commondir", "../bare"},
                              {"t/none/HEAD", "x"}}},
                            dir.path()));
  EXPECT_FALSE(outside_repositories(dir.path(), "t/bare/config"));
  EXPECT_FALSE(outside_repositories(dir.path(), "t/bare/hooks/post-checkout"));
  EXPECT_FALSE(outside_repositories(dir.path(), "t/linked/config"));
  EXPECT_TRUE(outside_repositories(dir.path(), "t/none/config"));
  EXPECT_TRUE(outside_repositories(dir.path(), "t/a.c"));
}

}  // namespace
}  // namespace lathe::loop
