// Toolchains and package caches for programs in the sandbox.
#include "loop/senses/surroundings.h"

#include "ground/base/option.h"
#include "ground/base/text.h"
#include "ground/sys/subprocess.h"
#include "loop/terms/ecosystems.h"

namespace lathe::loop {
namespace {

// Tools of Node keep caches in node_modules: there it is a directory of links, in which more can be
// made.
void link_into_tree(const fs::path& path, const fs::path& place, std::error_code& error) {
  if (path.filename() != "node_modules") return fs::create_symlink(path, place, error);
  fs::create_directory(place, error);
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(".cache") || name.starts_with(".vite")) continue;
    fs::create_symlink(it->path(), place / name, error);
  }
}

}  // namespace

Result<Surroundings> surroundings_of(const Json& options, const Place& place,
                                     const fs::path& tree) {
  Surroundings result;
  const fs::path home = plain_environment()["HOME"];
  for (const std::string& name : option_strings(options, "read_only")) {
    const fs::path path = expand_path(name, place.tree_root, home);
    std::error_code error;
    if (!path.is_absolute() || !fs::exists(path, error))
      return fail(ErrorKind::kNotFound, "unit.read_only names '{}', which is not there",
                  clip_utf8(name, 200));
    result.read_only.push_back(path);
    const fs::path inside = path.lexically_relative(place.tree_root);
    if (place.tree_root.empty() || !is_safe_relative(inside.generic_string())) continue;
    LATHE_TRY_STATUS(make_directories((tree / inside).parent_path()));
    if (!fs::exists(tree / inside, error)) link_into_tree(path, tree / inside, error);
    if (error)
      return fail(ErrorKind::kUnavailable, "{}: cannot be linked into the tree: {}", name,
                  error.message());
  }
  for (const auto& [name, value] : json_at(options, "env").items()) {
    if (!value.is_string()) return invalid("env.{} is not a string", clip_utf8(name, 80));
    const std::string text = value.get<std::string>();
    result.env[name] = text.starts_with("~/") ? expand_path(text, {}, home).string() : text;
  }
  std::string path;
  for (const std::string& name : option_strings(options, "path"))
    path += expand_path(name, place.tree_root, home).string() + ":";
  if (!path.empty()) result.env["PATH"] = path + "/usr/local/bin:/usr/bin:/bin";
  return result;
}

}  // namespace lathe::loop
