// The rule for what a candidate may change in a source tree.
#include "loop/terms/write_rule.h"

#include <algorithm>

#include "ground/base/text.h"
#include "loop/terms/ecosystems.h"

namespace lathe::loop {
namespace {

constexpr std::string_view kVersionControl[] = {".git",      ".hg",      ".svn", ".bzr",
                                                "_darcs",    ".jj",      ".sl",  ".pijul",
                                                ".fslckout", "_fossil_", ".repo"};

// Names without a dot in front that programs obey on sight, or that make a directory a repository;
// written as an ecosystem's `decides` are.
constexpr std::string_view kObeyed[] = {"*.git/",
                                        "head",
                                        "commondir",
                                        "cvs/",
                                        "jenkinsfile*",
                                        "azure-pipelines*",
                                        "appveyor*",
                                        "bitbucket-pipelines*",
                                        "cloudbuild.*",
                                        "buildspec.*",
                                        "dockerfile*",
                                        "*.dockerfile",
                                        "containerfile*",
                                        "compose.y*ml",
                                        "compose.*.y*ml",
                                        "docker-compose*",
                                        "vagrantfile",
                                        "procfile*",
                                        "tiltfile",
                                        "justfile",
                                        "taskfile.*",
                                        "rakefile",
                                        "gemfile*",
                                        "brewfile",
                                        "*.code-workspace",
                                        "*.sublime-project",
                                        "*.iml",
                                        "*.sln",
                                        "*.*proj",
                                        "directory.build.*",
                                        "directory.packages.*",
                                        "nuget.config",
                                        "*.desktop",
                                        "*.service",
                                        "autorun.inf",
                                        "desktop.ini",
                                        "flake.nix",
                                        "shell.nix",
                                        "default.nix",
                                        "devbox.json",
                                        "mise.toml",
                                        "mise.*.toml",
                                        "lefthook.*",
                                        "lefthook-local.*",
                                        "codecov.y*ml",
                                        "renovate.json*",
                                        "netlify.toml",
                                        "vercel.json",
                                        "claude.md",
                                        "claude.local.md",
                                        "agents.md",
                                        "gemini.md",
                                        "composer.json",
                                        "composer.lock",
                                        "phpunit.xml*",
                                        "p4config*",
                                        "session.vim",
                                        "package.swift",
                                        "mix.exs",
                                        "build.sbt",
                                        "build.zig*"};

// U+200C and its kind: HFS+ leaves them out when it compares names.
constexpr std::string_view kIgnorable[] = {
    "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d",
    "\u202e", "\u206a", "\u206b", "\u206c", "\u206d", "\u206e", "\u206f", "\ufeff"};

bool matches_any(const std::vector<std::string>& globs, std::string_view path) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, path); });
}

// The name as the laxest file systems take it: case and ignorable characters do not count on HFS+,
// dots and spaces at the end and what follows a colon not on NTFS.
std::string folded(std::string_view name) {
  std::string plain = to_lower_ascii(name);
  for (const std::string_view each : kIgnorable) plain = replace_all(plain, each, "");
  if (const auto colon = plain.find(':'); colon != plain.npos) plain.resize(colon);
  const auto end = plain.find_last_not_of(" .");
  plain.resize(end == plain.npos ? 0 : end + 1);
  return plain;
}

// "git~1" is what NTFS calls ".git" too.
bool is_short_name(std::string_view name) {
  const auto tilde = name.find('~');
  return tilde != name.npos && tilde <= 6 && tilde + 1 < name.size() && name[tilde + 1] >= '0' &&
         name[tilde + 1] <= '9';
}

// The pattern that holds this name back; "" when it is an ordinary one. `last`: the file's own
// name.
std::string_view held_by(const std::string& plain, bool last) {
  if (plain.starts_with('.')) return plain;
  const auto holds = [&](std::string_view glob) {
    const bool anywhere = glob.ends_with('/');
    if (anywhere) glob.remove_suffix(1);
    return (anywhere || last) && glob_match(to_lower_ascii(glob), plain);
  };
  for (const std::string_view glob : kObeyed)
    if (holds(glob)) return glob;
  for (const Ecosystem& each : ecosystems())
    for (const std::string_view glob : each.decides)
      if (holds(glob)) return glob;
  return {};
}

// Whether a glob that matches the path spells this name out, or the pattern that holds it.
bool is_named(const std::vector<std::string>& may_write, std::string_view path,
              std::string_view name, std::string_view pattern) {
  return std::ranges::any_of(may_write, [&](const std::string& glob) {
    const std::vector<std::string> parts = split(glob, '/');
    return glob_match(glob, path) && std::ranges::any_of(parts, [&](const std::string& part) {
             return part == name || part == pattern;
           });
  });
}

}  // namespace

WriteRule WriteRule::of(const Json& make_options) {
  const auto list = [&](std::string_view key) {
    std::vector<std::string> globs;
    for (const Json& glob : json_at(make_options, key))
      if (glob.is_string()) globs.push_back(glob.get<std::string>());
    return globs;
  };
  return {list("may_write"), list("protect")};
}

Status WriteRule::allows(std::string_view path) const {
  const std::string shown = clip_utf8(make_valid_utf8(path), 200);
  if (!is_safe_relative(path)) return invalid("'{}' is not a path inside the project", shown);
  if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; }))
    return invalid("the edit of '{}' is refused: no path has backslashes or control characters",
                   shown);
  if (matches_any(protect, path))
    return invalid("the edit of '{}' is refused: the file is protected", shown);
  if (!matches_any(may_write, path))
    return invalid("the edit of '{}' is refused: only {} may be written", shown,
                   join(may_write, ", "));
  const std::vector<std::string> names = split(path, '/');
  for (const std::string& name : names) {
    const std::string plain = folded(name);
    if (std::ranges::find(kVersionControl, plain) != std::end(kVersionControl))
      return invalid("the edit of '{}' is refused: '{}' belongs to version control", shown, name);
    if (plain.size() != name.size() || is_short_name(plain))
      return invalid("the edit of '{}' is refused: some file systems take '{}' for another name",
                     shown, name);
    const std::string_view held = held_by(plain, &name == &names.back());
    if (!held.empty() && !is_named(may_write, path, name, held))
      return invalid(
          "the edit of '{}' is refused: programs run or obey '{}' on sight; it is changed only "
          "where make.may_write spells that name out",
          shown, name);
  }
  return {};
}

std::vector<std::string> WriteRule::warnings() const {
  if (!protect.empty() || !std::ranges::any_of(may_write, [](const std::string& glob) {
        return glob_match(glob, "a") && glob_match(glob, "b/c.d");
      }))
    return {};
  return {
      "make.may_write lets a candidate change every file, and nothing is protected: it may rewrite "
      "the tests; name the sources only, or protect the tests"};
}

Status outside_repositories(const fs::path& root, std::string_view path) {
  for (fs::path dir = fs::path(path).parent_path(); !dir.empty(); dir = dir.parent_path()) {
    std::error_code ignored;
    const auto has = [&](const char* name) {
      return fs::symlink_status(root / dir / name, ignored).type() != fs::file_type::not_found;
    };
    if (has("HEAD") && (has("commondir") || (has("objects") && has("refs"))))
      return invalid("the edit of '{}' is refused: {} is a git repository's own directory",
                     clip_utf8(path, 200), dir.generic_string());
  }
  return {};
}

}  // namespace lathe::loop
