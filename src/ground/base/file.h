// Whole files and relative paths. Every call takes a limit or checks what it is given; errors name
// the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

namespace fs = std::filesystem;

inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{256} << 20;

// Regular files only: a device or a pipe could block or never end.
Result<std::string> read_file(const fs::path& path, std::uint64_t max_bytes = kMaxFileBytes);
// Writes beside the target, syncs and renames: a reader sees the old file or the new one, never a
// part.
Status write_file_atomic(const fs::path& path, std::string_view bytes);
Status make_directories(const fs::path& path);

// A path that stays below its root: relative, no "..", no empty or absolute parts, no NUL.
bool is_safe_relative(std::string_view path);
// Regular files below `root`, relative, '/'-separated, sorted. Symbolic links are not followed and
// not listed.
Result<std::vector<std::string>> list_files(const fs::path& root, std::size_t max_files = 200000);

// Removes `path` and all below it, however deep it is nested and whatever permissions its
// directories have: what generated code leaves behind must not stop the cleaning. Links are
// removed, not followed.
Status remove_tree(const fs::path& path);

// A directory that is removed with everything in it when this goes out of scope.
class TempDir {
 public:
  static Result<TempDir> make(
      std::string_view prefix = "lathe");  // below the system's temporary directory
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&& other) noexcept;
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const fs::path& path() const { return path_; }

 private:
  explicit TempDir(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

}  // namespace lathe
