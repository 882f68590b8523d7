// Finds the files that an agent names, and says what they are.
#include "app/tools/below_root.h"

#include "ground/base/text.h"
#include "ground/media/media_type.h"
#include "ground/sys/beneath.h"

namespace lathe::app {
namespace {

constexpr std::uint64_t kMaxNamedBytes = std::uint64_t{256} << 20;

std::string relative_name(const fs::path& root, const std::string& name) {
  const std::string below = root.string() + "/";
  return name.starts_with(below) ? name.substr(below.size()) : name;
}

}  // namespace

Result<NamedFile> read_below(const fs::path& root, const std::string& name) {
  NamedFile file;
  file.path = relative_name(root, name);
  auto bytes = read_beneath(root, file.path, kMaxNamedBytes);
  if (!bytes) return at(fmt::format("below {}", root.string()), std::move(bytes).error());
  file.bytes = *std::move(bytes);
  file.media_type = media_type_of_name(file.path);
  return file;
}

Result<fs::path> directory_below(const fs::path& root, const std::string& name) {
  const std::string relative = relative_name(root, name);
  if (relative.empty() || relative == "." || name == root.string()) return root;
  std::error_code error;
  const fs::path path = is_safe_relative(relative) ? root / relative : fs::path();
  if (path.empty() || !fs::is_directory(path, error) || fs::canonical(path, error) != path)
    return invalid("below {}: '{}' is not a directory there, or passes a symbolic link",
                   root.string(), clip_utf8(make_valid_utf8(name), 200));
  return path;
}

}  // namespace lathe::app
