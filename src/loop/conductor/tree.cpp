// Snapshots of a source tree, and changes applied to it.
#include "loop/conductor/tree.h"

#include <fstream>

#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe::loop {
namespace {

constexpr std::size_t kMaxFiles = 20'000;
constexpr std::uint64_t kMaxBytes = std::uint64_t{256} << 20;

bool excluded(const std::string& path, std::span<const std::string> globs) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, path); });
}

Result<Json> read_manifest(const books::Journal& journal, const std::string& manifest) {
  LATHE_TRY(const std::string text, journal.blob(manifest));
  LATHE_TRY(Json tree, parse_json(text));
  return json_at(tree, "files");
}

}  // namespace

Result<TreeSnapshot> snapshot_tree(const books::Journal& journal, const fs::path& root,
                                   std::span<const std::string> exclude) {
  std::error_code error;
  if (!fs::is_directory(root, error))
    return fail(ErrorKind::kNotFound,
                "{}: is not a directory; point --input or unit.tree at the source tree",
                root.string());
  TreeSnapshot snapshot;
  std::vector<std::string> paths;
  fs::recursive_directory_iterator it(root, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().lexically_relative(root).generic_string();
    if (it->is_symlink()) {
      if (!excluded(path, exclude)) snapshot.left_out.push_back(path);
    } else if (it->is_directory()) {
      if (excluded(path + "/", exclude)) it.disable_recursion_pending();
    } else if (it->is_regular_file() && !excluded(path, exclude)) {
      paths.push_back(path);
    }
    if (paths.size() > kMaxFiles)
      return invalid("{}: has more than {} files; leave some out with unit.exclude", root.string(),
                     kMaxFiles);
  }
  if (error)
    return fail(ErrorKind::kUnavailable, "{}: cannot list it: {}", root.string(), error.message());
  std::ranges::sort(paths);
  std::ranges::sort(snapshot.left_out);

  Json files = Json::array();
  std::uint64_t bytes = 0;
  for (const std::string& path : paths) {
    if (find_invalid_utf8(path) != path.npos)
      return invalid("{}: the file name '{}' is not UTF-8; leave it out with unit.exclude",
                     root.string(), make_valid_utf8(path));
    LATHE_TRY(const std::string content, read_file(root / path, kMaxBytes));
    bytes += content.size();
    if (bytes > kMaxBytes)
      return invalid("{}: has more than {} in its files; leave some out with unit.exclude",
                     root.string(), format_bytes(kMaxBytes));
    LATHE_TRY(const std::string blob, journal.put_blob(content));
    const auto mode = fs::status(root / path, error).permissions();
    files.push_back({{"path", path},
                     {"blob", blob},
                     {"executable", (mode & fs::perms::owner_exec) != fs::perms::none}});
  }
  LATHE_TRY(snapshot.manifest, journal.put_blob(dump_json({{"files", std::move(files)}})));
  return snapshot;
}

Status lay_out_tree(const books::Journal& journal, const std::string& manifest,
                    const fs::path& directory) {
  LATHE_TRY(const Json files, read_manifest(journal, manifest));
  for (const Json& file : files) {
    const std::string path = json_string(file, "path");
    if (!is_safe_relative(path))
      return invalid("the snapshot names '{}', which is outside the tree", path);
    LATHE_TRY(const std::string content, journal.blob(json_string(file, "blob")));
    const fs::path target = directory / path;
    LATHE_TRY_STATUS(make_directories(target.parent_path()));
    // Not durable on purpose: this is a scratch copy.
    std::ofstream out(target, std::ios::binary);
    out << content;
    out.close();
    if (!out)
      return fail(ErrorKind::kUnavailable, "{}: cannot write it; is the disk full?",
                  target.string());
    std::error_code ignored;
    if (json_bool(file, "executable", false))
      fs::permissions(target,
                      fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                      fs::perm_options::add, ignored);
  }
  return {};
}

Result<std::string> changed_tree(const books::Journal& journal, const std::string& manifest,
                                 const std::function<bool(const std::string& path)>& keep,
                                 const Changes& changes) {
  LATHE_TRY(const Json files, read_manifest(journal, manifest));
  std::map<std::string, Json> tree;
  for (const Json& file : files)
    if (const std::string path = json_string(file, "path"); keep(path)) tree[path] = file;
  for (const auto& [path, text] : changes.files) {
    if (!text) {
      tree.erase(path);
      continue;
    }
    LATHE_TRY(std::string blob, journal.put_blob(*text));
    const bool executable = tree.contains(path) && json_bool(tree[path], "executable", false);
    tree[path] = {{"path", path}, {"blob", std::move(blob)}, {"executable", executable}};
  }
  Json list = Json::array();
  for (auto& [path, file] : tree) list.push_back(std::move(file));
  return journal.put_blob(dump_json({{"files", std::move(list)}}));
}

Result<std::string> tree_file_blob(const books::Journal& journal, const std::string& manifest,
                                   const std::string& path) {
  LATHE_TRY(const Json files, read_manifest(journal, manifest));
  for (const Json& file : files)
    if (json_string(file, "path") == path) return json_string(file, "blob");
  return std::string();
}

}  // namespace lathe::loop
