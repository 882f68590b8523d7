// Goes through a directory, and says what it leaves out.
#include "books/index/walk.h"

#include <algorithm>

#include "ground/base/text.h"
#include "ground/base/units.h"

namespace lathe::books {
namespace {

// Dot files are settings, secrets and what programs keep for themselves.
bool is_ignored(const std::string& name) {
  return name.starts_with('.') || name == "node_modules" || name == "__pycache__";
}

class Walk {
 public:
  Walk(const IndexSource& source, IndexChange& change) : source_(source), change_(change) {}

  Result<std::vector<IndexedFile>> run() {
    LATHE_TRY_STATUS(directory(""));
    std::ranges::sort(files_, {}, &IndexedFile::path);
    std::ranges::sort(change_.unread, {}, &IndexChange::Unread::path);
    std::ranges::sort(change_.ignored);
    return std::move(files_);
  }

 private:
  Status directory(const std::string& inside) {
    std::error_code wrong;
    fs::directory_iterator entries(source_.root / inside, wrong);
    if (wrong && inside.empty())
      return fail(ErrorKind::kNotFound, "{}: cannot be read: {}", source_.root.string(),
                  wrong.message());
    if (wrong) change_.unread.push_back({inside, wrong.message()});
    for (const fs::directory_iterator end; !wrong && entries != end; entries.increment(wrong))
      LATHE_TRY_STATUS(take(inside, *entries));
    return {};
  }

  Status take(const std::string& inside, const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    const std::string path = inside.empty() ? name : inside + "/" + name;
    std::error_code wrong;
    const fs::file_status status = entry.symlink_status(wrong);
    const bool wanted = glob_match(source_.pattern, path);
    if (is_ignored(name)) {
      change_.ignored.push_back(path);
    } else if (fs::is_directory(status)) {
      return directory(path);
    } else if (!wanted) {
      return {};
    } else if (fs::is_symlink(status)) {
      change_.unread.push_back({path, "it is a symbolic link, which is not followed"});
    } else if (!fs::is_regular_file(status)) {
      change_.unread.push_back({path, "it is no regular file"});
    } else if (const auto file = look_at(source_.root, path)) {
      return take(*file);
    } else {
      change_.unread.push_back({path, "it cannot be looked at"});
    }
    return {};
  }

  Status take(const IndexedFile& file) {
    if (file.bytes > kMaxIndexedFile) {
      change_.unread.push_back(
          {file.path, fmt::format("it has {}, and {} are read at most", format_bytes(file.bytes),
                                  format_bytes(kMaxIndexedFile))});
      return {};
    }
    change_.bytes += file.bytes;
    files_.push_back(file);
    if (files_.size() > kMaxIndexedFiles || change_.bytes > kMaxIndexedBytes)
      return invalid("{}: holds more than {} files or {}; index a part of it",
                     source_.root.string(), kMaxIndexedFiles, format_bytes(kMaxIndexedBytes));
    return {};
  }

  const IndexSource& source_;
  IndexChange& change_;
  std::vector<IndexedFile> files_;
};

}  // namespace

std::optional<IndexedFile> look_at(const fs::path& root, const std::string& path) {
  std::error_code wrong;
  IndexedFile file{path, fs::file_size(root / path, wrong), 0};
  if (wrong) return std::nullopt;
  const auto time = fs::last_write_time(root / path, wrong);
  if (wrong) return std::nullopt;
  file.changed = time.time_since_epoch().count();
  return file;
}

Result<std::vector<IndexedFile>> walk(const IndexSource& source, IndexChange& change) {
  return Walk(source, change).run();
}

}  // namespace lathe::books
