// Files and directories: read, written whole, removed, lent for a while.
#include "ground/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "ground/base/part_file.h"
#include "ground/base/text.h"

namespace lathe {
namespace {

ErrorKind kind_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return ErrorKind::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::kDenied;
    default:
      return ErrorKind::kUnavailable;
  }
}

std::unexpected<Error> os_error(const fs::path& path, std::string_view what, int error) {
  return fail(kind_of(error), "{}: cannot {}: {}", path.string(), what, std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Result<std::string> read_file(const fs::path& path, std::uint64_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return os_error(path, "open it", errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return os_error(path, "look at it", errno);
  if (S_ISDIR(info.st_mode)) return invalid("{}: is a directory, not a file", path.string());
  if (!S_ISREG(info.st_mode)) return invalid("{}: is not a regular file", path.string());
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes)
    return invalid("{}: {} bytes is over the limit of {}", path.string(), size, max_bytes);
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error(path, "read it", errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

Status write_file_atomic(const fs::path& path, std::string_view bytes) {
  LATHE_TRY(PartFile part, PartFile::create(path));
  LATHE_TRY_STATUS(part.write(std::as_bytes(std::span(bytes))));
  return part.commit();
}

Status make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    return fail(kind_of(error.value()), "{}: cannot make this directory: {}", path.string(),
                error.message());
  return {};
}

bool is_safe_relative(std::string_view path) {
  if (path.empty() || path.find('\0') != path.npos) return false;
  return std::ranges::all_of(split(path, '/'), [](const std::string& part) {
    return !part.empty() && part != "." && part != "..";
  });
}

Result<std::vector<std::string>> list_files(const fs::path& root, std::size_t max_files) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator it(root, error);
  if (error) return os_error(root, "list it", error.value());
  for (const fs::recursive_directory_iterator end; it != end; it.increment(error)) {
    if (!it->is_symlink(error) && it->is_regular_file(error)) {
      files.push_back(it->path().lexically_relative(root).generic_string());
      if (files.size() > max_files)
        return invalid("{}: holds more than {} files; point at a smaller directory", root.string(),
                       max_files);
    }
  }
  // A failing increment() ends the loop: what was listed so far would look like everything.
  if (error) return os_error(root, "list it", error.value());
  std::ranges::sort(files);
  return files;
}

namespace {

// The first entry that is a directory and not empty; everything else in `at` is removed on the way.
// "" when nothing is left.
std::string remove_entries(int at) {
  const int copy = ::openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = copy < 0 ? nullptr : ::fdopendir(copy);
  if (!list) {
    if (copy >= 0) ::close(copy);
    return {};
  }
  std::string full;
  while (const dirent* entry = full.empty() ? ::readdir(list) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || ::unlinkat(at, entry->d_name, 0) == 0) continue;
    if (::unlinkat(at, entry->d_name, AT_REMOVEDIR) == 0) continue;
    struct stat info {};
    if (::fstatat(at, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
      full = name;
  }
  ::closedir(list);
  return full;
}

}  // namespace

// Walks with one descriptor, down by name and up by "..": a tree may be nested deeper than there
// are descriptors, or than a path may be long.
Status remove_tree(const fs::path& path) {
  const auto open_dir = [](int at, const char* name) {
    ::fchmodat(at, name, 0700, 0);  // only the owner may: fails where it is not needed
    return ::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  };
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  int at = open_dir(AT_FDCWD, path.c_str());
  std::vector<std::string> names;
  bool stuck = at < 0;
  while (!stuck) {
    const std::string full = remove_entries(at);
    int next = -1;
    if (!full.empty()) {
      next = open_dir(at, full.c_str());
      if (next >= 0) names.push_back(full);
    } else if (names.empty()) {
      break;
    } else {
      next = ::openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      // What can't be removed would be met again without end.
      stuck = next < 0 || ::unlinkat(next, names.back().c_str(), AT_REMOVEDIR) != 0;
      names.pop_back();
    }
    stuck |= next < 0;
    ::close(at);
    at = next;
  }
  if (at >= 0) ::close(at);
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return os_error(path, "remove it", errno);
  return {};
}

namespace {

// "/tmp/lathe-1000", where everything is ours.
fs::path shelf() {
  std::error_code error;
  const fs::path base = fs::temp_directory_path(error);
  return (error ? fs::path("/tmp") : base) / fmt::format("lathe-{}", ::geteuid());
}

Status make_shelf(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return os_error(path, "make it", errno);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? Status() : os_error(path, "look at it", errno);
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return fail(
        ErrorKind::kDenied,
        "{}: is no directory of this user alone (mode 0700), so temporary files are not safe "
        "in it; remove it or set TMPDIR",
        path.string());
  return {};
}

// The directory, open and locked; -1 when it has an owner, or is none.
int take_directory(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

// Those whose owners are gone: each holds its own locked while it lives.
void remove_abandoned(const fs::path& root) {
  std::error_code error;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    const int lock = take_directory(it->path());
    if (lock < 0) continue;
    static_cast<void>(remove_tree(it->path()));
    ::close(lock);
  }
}

// The locks of this process, by the directory.
class Locks {
 public:
  void keep(const fs::path& path, int lock) {
    const std::lock_guard hold(mutex_);
    locks_[path] = lock;
  }
  void release(const fs::path& path) {
    const std::lock_guard hold(mutex_);
    const auto found = locks_.find(path);
    if (found == locks_.end()) return;
    ::close(found->second);
    locks_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::map<fs::path, int> locks_;
};

Locks& locks() {
  static Locks all;
  return all;
}

}  // namespace

// All of them lie in one directory that is this user's alone: what is in it and has no living owner
// was left by a process that was killed.
Result<TempDir> TempDir::make(std::string_view prefix) {
  const fs::path root = shelf();
  for (int attempt = 0; attempt < 100; ++attempt) {
    LATHE_TRY_STATUS(make_shelf(root));
    remove_abandoned(root);
    std::string name = (root / fmt::format("{}-XXXXXX", prefix)).string();
    if (!::mkdtemp(name.data())) {
      if (errno == ENOENT) continue;  // another process, the last one, has just removed the shelf
      return os_error(root, "make a directory in it", errno);
    }
    // Another process may have taken it for abandoned before it was locked.
    const int lock = take_directory(name);
    struct stat info {};
    if (lock >= 0 && ::lstat(name.c_str(), &info) == 0) {
      locks().keep(name, lock);
      return TempDir(fs::path(name));
    }
    if (lock >= 0) ::close(lock);
  }
  return fail(ErrorKind::kUnavailable, "{}: no temporary directory in it stays", root.string());
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::move(other.path_)) {
  other.path_.clear();
}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TempDir::~TempDir() {
  if (path_.empty()) return;
  static_cast<void>(remove_tree(path_));
  locks().release(path_);
  ::rmdir(path_.parent_path().c_str());  // when this was the last one
}

}  // namespace lathe
