// The table of ecosystems. To add one: a row.
#include "loop/terms/ecosystems.h"

#include "ground/base/text.h"

namespace lathe::loop {
namespace {

const std::vector<Ecosystem> kRows{
    {.name = "Rust (Cargo)",
     .markers = {"Cargo.toml"},
     .build = "",
     .command = "cargo test --offline --no-fail-fast 2>&1",
     .report = "",
     .format = "cargo",
     .sources = {"**/*.rs"},
     .tests = {"tests/**", "**/tests/**", "benches/**"},
     .read_only = {"~/.cargo/bin", "~/.cargo/registry", "~/.cargo/git", "~/.cargo/config.toml",
                   "~/.rustup"},
     .path = {"~/.cargo/bin"},
     .env = {{"CARGO_NET_OFFLINE", "true"},
             {"CARGO_TERM_COLOR", "never"},
             {"CARGO_HOME", "~/.cargo"},
             {"RUSTUP_HOME", "~/.rustup"}},
     .decides = {"Cargo.toml", "Cargo.lock", "build.rs", "rust-toolchain", "rust-toolchain.toml",
                 "clippy.toml", "rustfmt.toml"}},
    {.name = "Go",
     .markers = {"go.mod", "go.work"},
     .build = "",
     .command = "go test -json ./...",
     .report = "",
     .format = "go",
     .sources = {"**/*.go"},
     .tests = {"**/*_test.go", "**/testdata/**", "vendor/**"},
     .read_only = {"~/go/pkg/mod", "/usr/local/go", "~/.local/share/go", "~/sdk"},
     .path = {"/usr/local/go/bin", "~/.local/share/go/bin"},
     .env = {{"GOPROXY", "off"},
             {"GOTOOLCHAIN", "local"},
             {"GOSUMDB", "off"},
             {"GOMODCACHE", "~/go/pkg/mod"},
             {"GOCACHE", "/tmp/go-build"}},
     .decides = {"go.mod", "go.sum", "go.work", "go.work.sum"}},
    {.name = "Java (Maven)",
     .markers = {"pom.xml"},
     .build = "",
     .command = "m=mvn; [ ! -x ./mvnw ] || m=./mvnw; \"$m\" -o -B -fae "
                "-Dmaven.repo.local=\"$M2_REPO\" test >&2; s=$?; find . -path "
                "'*/surefire-reports/TEST-*.xml' -exec cat {} +; exit $s",
     .report = "",
     .format = "junit",
     .sources = {"src/main/**", "*/src/main/**"},
     .tests = {"src/test/**", "**/src/test/**"},
     .read_only = {"~/.m2/repository", "~/.m2/wrapper", "~/.sdkman", "~/.jdks", "~/.gradle/jdks"},
     .path = {"~/.sdkman/candidates/java/current/bin", "~/.sdkman/candidates/maven/current/bin"},
     .env = {{"M2_REPO", "~/.m2/repository"}},
     .decides = {"pom.xml", "mvnw", "mvnw.cmd", "build.xml", "ivy.xml", "testng.xml",
                 "junit-platform.properties", "org.junit.*", "javax.annotation.processing.*"}},
    {.name = "Java (Gradle)",
     .markers = {"build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"},
     .build = "",
     .command = "g=gradle; [ ! -x ./gradlew ] || g=./gradlew; mkdir -p /tmp/gradle; ln -sfn "
                "\"$GRADLE_WRAPPER\" /tmp/gradle/wrapper; \"$g\" --offline --no-daemon "
                "--continue test >&2; s=$?; find . -path '*/test-results/*/TEST-*.xml' -exec cat "
                "{} +; exit $s",
     .report = "",
     .format = "junit",
     .sources = {"src/main/**", "*/src/main/**"},
     .tests = {"src/test/**", "**/src/test/**"},
     .read_only = {"~/.gradle/caches", "~/.gradle/wrapper", "~/.gradle/jdks", "~/.m2/repository",
                   "~/.sdkman", "~/.jdks"},
     .path = {"~/.sdkman/candidates/java/current/bin", "~/.sdkman/candidates/gradle/current/bin"},
     .env = {{"GRADLE_USER_HOME", "/tmp/gradle"},
             {"GRADLE_RO_DEP_CACHE", "~/.gradle/caches"},
             {"GRADLE_WRAPPER", "~/.gradle/wrapper"}},
     .decides = {"build.gradle*", "settings.gradle*", "init.gradle*", "gradle.properties",
                 "gradlew", "gradlew.bat", "gradle-wrapper.*", "libs.versions.toml", "buildSrc/",
                 "*.gradle", "*.gradle.kts"}},
    {.name = "Node",
     .markers = {"package.json"},
     .build = "",
     // The runner that package.json names, in the form of it that can be read.
     .command = "if grep -q '\"vitest\"' package.json; then vitest run --reporter=json; "
                "elif grep -q '\"jest\"' package.json; then jest --json; "
                "elif grep -q '\"mocha\"' package.json; then mocha --reporter tap; "
                "elif grep -q '\"ava\"' package.json; then ava --tap; "
                "elif grep -q 'node --test' package.json; then node --test --test-reporter=tap; "
                "else npm test --silent; fi",
     .report = "",
     .format = "any",
     .sources = {"**/*.js", "**/*.mjs", "**/*.cjs", "**/*.ts", "**/*.mts", "**/*.cts", "**/*.jsx",
                 "**/*.tsx", "**/*.vue", "**/*.svelte"},
     .tests = {"**/*.test.*", "**/*.spec.*", "test/**", "tests/**", "**/__tests__/**",
               "**/__snapshots__/**"},
     .read_only = {"node_modules", "~/.nvm", "~/.local/share/pnpm", "~/.volta", "~/.bun"},
     .path = {"node_modules/.bin", "~/.local/share/pnpm", "~/.bun/bin"},
     .env = {{"npm_config_offline", "true"},
             {"npm_config_update_notifier", "false"},
             {"CI", "1"},
             {"NO_COLOR", "1"}},
     .decides = {"package.json",
                 "package-lock.json",
                 "npm-shrinkwrap.json",
                 "yarn.lock",
                 "pnpm-lock.yaml",
                 "pnpm-workspace.yaml",
                 "bun.lock",
                 "bun.lockb",
                 "bunfig.toml",
                 "deno.json*",
                 "node_modules/",
                 "tsconfig*.json",
                 "jsconfig.json",
                 "*.config.js",
                 "*.config.cjs",
                 "*.config.mjs",
                 "*.config.ts",
                 "*.config.cts",
                 "*.config.mts",
                 "*.config.json",
                 "*.conf.js",
                 "*.conf.ts",
                 "vitest.workspace.*",
                 "jest.setup.*",
                 "vitest.setup.*",
                 "setupTests.*",
                 "jest-preset.*",
                 "__mocks__/",
                 "gulpfile.*",
                 "Gruntfile.*",
                 "lerna.json",
                 "nx.json",
                 "turbo.json"}},
    {.name = "Python",
     .markers = {"pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini", "conftest.py",
                 "uv.lock", "Pipfile", "requirements*.txt", "*.py"},
     .build = "",
     // The first that has pytest: a pyenv's Python often has none, and the system's does.
     .command = "for p in python python3 /usr/bin/python3; do \"$p\" -c 'import pytest' "
                "2>/dev/null && break; done; \"$p\" -m pytest --junit-xml=results.xml",
     .report = "results.xml",
     .format = "junit",
     .sources = {"**/*.py"},
     .tests = {"**/test_*.py", "**/*_test.py", "test/**", "tests/**", "**/tests/**"},
     .read_only = {".venv", "venv", "env", "~/.pyenv", "~/.local/share/uv", "~/.local/pipx"},
     .path = {".venv/bin", "venv/bin", "env/bin", "~/.pyenv/shims", "~/.pyenv/bin"},
     .env = {{"PIP_NO_INDEX", "1"},
             {"UV_OFFLINE", "1"},
             {"PYTHONDONTWRITEBYTECODE", "1"},
             // Before what an editable installation points to, which is not the tree under test.
             {"PYTHONPATH", "/work/src:/work"},
             {"PYENV_ROOT", "~/.pyenv"}},
     .decides = {"conftest.py",       "pytest.ini",   "setup.cfg",    "tox.ini",
                 "pyproject.toml",    "setup.py",     "noxfile.py",   "sitecustomize.py",
                 "usercustomize.py",  "*.pth",        "*.pyc",        "__pycache__/",
                 "site-packages/",    "*.dist-info/", "*.egg-info/",  "*.egg-link",
                 "requirements*.txt", "Pipfile",      "Pipfile.lock", "poetry.lock",
                 "uv.lock",           "uv.toml",      "hatch.toml",   "mypy.ini",
                 "pylintrc",          "ruff.toml",    "pyvenv.cfg",   "pytest.py",
                 "_pytest/",          "pluggy/",      "unittest.py",  "dodo.py",
                 "fabfile.py"}},
    {.name = "C++ (CMake)",
     .markers = {"CMakeLists.txt"},
     .build = "cmake -S . -B build -DFETCHCONTENT_FULLY_DISCONNECTED=ON && cmake --build build -j2",
     .command = "ctest --test-dir build --output-junit results.xml",
     .report = "build/results.xml",
     .format = "junit",
     .sources = {"**/*.c", "**/*.cc", "**/*.cpp", "**/*.cxx", "**/*.h", "**/*.hh", "**/*.hpp",
                 "**/*.hxx", "**/*.ipp", "**/*.inl"},
     .tests = {"test/**", "tests/**", "**/*_test.*", "**/test_*"},
     .read_only = {"~/.cache/CPM"},
     .path = {},
     .env = {},
     .decides = {"CMakeLists.txt", "*.cmake", "CMakePresets.json", "CMakeUserPresets.json",
                 "CTestConfig*", "vcpkg.json", "conanfile.*", "gtest/", "gmock/"}},
    {.name = "C++ (Meson)",
     .markers = {"meson.build"},
     .build = "meson setup build --wrap-mode=nodownload && meson compile -C build",
     .command = "meson test -C build --no-rebuild",
     .report = "build/meson-logs/testlog.junit.xml",
     .format = "junit",
     .sources = {"**/*.c", "**/*.cc", "**/*.cpp", "**/*.cxx", "**/*.h", "**/*.hh", "**/*.hpp",
                 "**/*.hxx"},
     .tests = {"test/**", "tests/**", "**/*_test.*", "**/test_*", "subprojects/**"},
     .read_only = {},
     .path = {},
     .env = {},
     .decides = {"meson.build", "meson_options.txt", "meson.options", "subprojects/"}},
    {.name = "Make",
     .markers = {"GNUmakefile", "makefile", "Makefile"},
     .build = "",
     .command = "if grep -qs '^check[ ]*:' GNUmakefile makefile Makefile; then make -k check; "
                "else make -k test; fi",
     .report = "",
     .format = "any",
     .sources = {"**/*.c", "**/*.cc", "**/*.cpp", "**/*.cxx", "**/*.h", "**/*.hh", "**/*.hpp",
                 "**/*.hxx", "src/**"},
     .tests = {"test/**", "tests/**", "**/*_test.*", "**/test_*"},
     .read_only = {},
     .path = {},
     .env = {},
     .decides = {"GNUmakefile", "makefile", "Makefile.*", "*.mk", "BSDmakefile", "configure",
                 "configure.ac", "SConstruct", "SConscript", "wscript", "WORKSPACE.bazel",
                 "BUILD.bazel", "MODULE.bazel", "*.bzl", "build.ninja", "xmake.lua"}},
};

}  // namespace

std::span<const Ecosystem> ecosystems() {
  return kRows;
}

const Ecosystem& unknown_project() {
  static const Ecosystem kUnknown{
      .name = "of no kind that is known",
      .markers = {},
      .build = "",
      .command = "",
      .report = "",
      .format = "any",
      .sources = {"**"},
      .tests = {"test/**", "tests/**", "**/test/**", "**/tests/**", "spec/**", "**/spec/**", "t/**",
                "features/**", "**/__tests__/**", "**/*.bats", "**/*.t", "**/*_helper.*",
                // What decides how the tests of other kinds of projects run.
                "**/Rakefile", "**/Gemfile*", "**/*.gemspec", "**/phpunit.xml*", "**/composer.*",
                "**/mix.*", "**/*.cabal", "**/stack.yaml*", "**/package.yaml", "**/build.sbt",
                "project/**", "**/dune*", "**/*.opam", "**/deps.edn", "**/project.clj",
                "**/Package.swift", "**/*.csproj", "**/*.fsproj", "**/*.sln",
                "**/Directory.Build.*", "**/pubspec.*", "**/rebar.config", "**/build.zig*",
                "**/Project.toml", "**/Manifest.toml", "**/cpanfile", "**/Makefile.PL",
                "**/Build.PL", "**/*.nimble", "**/shard.*", "**/justfile", "**/Taskfile*",
                "**/DESCRIPTION", "**/NAMESPACE", "**/test_*", "**/*_test", "**/*_test.*",
                "**/*Test.*", "**/*Tests.*", "**/*.test.*", "**/*_spec.*", "**/*.spec.*"},
      .read_only = {},
      .path = {},
      .env = {},
      .decides = {}};
  return kUnknown;
}

Result<FoundProject> find_project(const fs::path& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  std::ranges::sort(names);
  std::vector<std::string> markers;
  for (const Ecosystem& each : kRows)
    for (const std::string_view marker : each.markers) {
      markers.emplace_back(marker);
      for (const std::string& name : names)
        if (glob_match(marker, name)) return FoundProject{&each, name};
    }
  return fail(ErrorKind::kNotFound,
              "{}: no kind of project is recognised here: there is none of {}; write a recipe with "
              "unit.command, make.may_write and make.protect of your own",
              root.string(), join(markers, ", "));
}

fs::path expand_path(std::string_view name, const fs::path& root, const fs::path& home) {
  if (name == "~") return home;
  if (name.starts_with("~/")) return home / name.substr(2);
  return (root / name).lexically_normal();
}

Json project_values(const Ecosystem& project, const fs::path& root, const fs::path& home) {
  const auto there = [&](const Ecosystem::Words& words) {
    Json list = Json::array();
    for (const std::string_view word : words) {
      std::error_code ignored;
      if (fs::exists(expand_path(word, root, home), ignored)) list.push_back(word);
    }
    return list;
  };
  Json protect = project.tests, env = Json::object();
  for (const std::string_view name : project.decides) {
    const bool anywhere = name.ends_with('/');
    const std::string plain(name.substr(0, name.size() - (anywhere ? 1 : 0)));
    protect.push_back("**/" + plain + (anywhere ? "/**" : ""));
  }
  for (const auto& [name, value] : project.env) env[std::string(name)] = value;
  return {{"unit",
           {{"build", project.build},
            {"command", project.command},
            {"report", project.report},
            {"format", project.format},
            {"read_only", there(project.read_only)},
            {"path", there(project.path)},
            {"env", std::move(env)}}},
          {"make", {{"may_write", project.sources}, {"protect", std::move(protect)}}}};
}

}  // namespace lathe::loop
