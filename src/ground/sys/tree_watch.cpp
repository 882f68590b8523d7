#include "ground/sys/tree_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>
#include <set>

#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr Milliseconds kDiskPeriod{100};
constexpr std::uint64_t kLeastEntry = 4096;  // an empty file costs its inode
constexpr std::uint64_t kLeastFree = std::uint64_t{128} << 20;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory open_directory(int at, const char* name) {
  const int fd = ::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  DIR* directory = fd < 0 ? nullptr : ::fdopendir(fd);
  if (!directory && fd >= 0) ::close(fd);
  return Directory(directory);
}

std::string read_small(int at, const std::string& name) {
  const UniqueFd file(::openat(at, name.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer;
  const ssize_t n = file ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string();
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t proportional_memory(int proc, const std::string& pid) {
  const std::string rollup = read_small(proc, pid + "/smaps_rollup");
  const auto found = rollup.find("\nPss:");
  return found == rollup.npos ? 0 : number(trim(std::string_view(rollup).substr(found + 5))) * 1024;
}

std::vector<std::string> process_ids(int proc) {
  std::vector<std::string> ids;
  const Directory directory = open_directory(proc, ".");
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') ids.emplace_back(entry->d_name);
  return ids;
}

void add_size(int at, const char* name, int depth, TreeSize& size) {
  if (depth > kMaxTreeDepth) {
    size.too_deep = true;
    return;
  }
  const Directory directory = open_directory(at, name);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    const std::string_view child = entry->d_name;
    struct stat info {};
    if (child == "." || child == ".." || size.too_deep) continue;
    const int fd = ::dirfd(directory.get());
    if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    size.bytes += std::max(kLeastEntry, static_cast<std::uint64_t>(info.st_blocks) * 512);
    if (S_ISDIR(info.st_mode)) add_size(fd, entry->d_name, depth + 1, size);
  }
}

// What a tmpfs holds, its inodes included.
std::uint64_t tmpfs_bytes(const UniqueFd& directory) {
  struct statvfs info {};
  if (!directory || ::fstatvfs(directory.get(), &info) != 0) return 0;
  return (info.f_blocks - info.f_bfree) * info.f_frsize + (info.f_files - info.f_ffree) * 1024;
}

dev_t device_of(const UniqueFd& directory) {
  struct stat info {};
  return ::fstat(directory.get(), &info) == 0 ? info.st_dev : 0;
}

UniqueFd open_path(const fs::path& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

TreeSize tree_size(const fs::path& root) {
  TreeSize size;
  add_size(AT_FDCWD, root.c_str(), 0, size);
  return size;
}

TreeWatch::TreeWatch(const fs::path& root, const Sandbox& sandbox, std::uint64_t tree_bytes_before)
    : sandbox_(sandbox),
      before_(tree_bytes_before),
      proc_(open_path(root / "proc")),
      tmp_(open_path(root / "tmp")),
      shm_(open_path(root / "dev/shm")) {}

// `exact` shares out pages that processes have in common, which costs the kernel a walk.
TreeWatch::Load TreeWatch::load(bool exact) const {
  Load load;
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const std::string& pid : process_ids(proc_.get())) {
    const std::string stat = read_small(proc_.get(), pid + "/stat");
    const auto name_end = stat.rfind(')');              // a program may name itself "a) b"
    if (name_end == stat.npos || pid == "1") continue;  // bwrap's own init
    const std::vector<std::string> fields = split(std::string_view(stat).substr(name_end + 1), ' ');
    if (fields.size() < 23) continue;
    load.tasks += static_cast<int>(number(fields[18]));
    const std::uint64_t resident = number(fields[22]) * page;
    const std::uint64_t share = exact ? proportional_memory(proc_.get(), pid) : 0;
    load.memory += share > 0 ? share : resident;
    if (load.tasks > sandbox_.limits.processes) break;  // a bomb: say so at once
  }
  return load;
}

// Files that have no name any more but are still open take up space that no walk of the tree finds.
std::uint64_t TreeWatch::unlinked_bytes() const {
  std::uint64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const std::string& pid : process_ids(proc_.get())) {
    const Directory fds = open_directory(proc_.get(), (pid + "/fd").c_str());
    while (const dirent* entry = fds ? ::readdir(fds.get()) : nullptr) {
      struct stat info {};
      if (::fstatat(::dirfd(fds.get()), entry->d_name, &info, 0) != 0) continue;
      const bool counted = info.st_dev == device_of(tmp_) || info.st_dev == device_of(shm_);
      if (S_ISREG(info.st_mode) && info.st_nlink == 0 && !counted &&
          seen.emplace(info.st_dev, info.st_ino).second)
        bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
  }
  return bytes;
}

std::string TreeWatch::broken_disk_limit() const {
  const TreeSize size = tree_size(sandbox_.tree);
  if (size.too_deep) return fmt::format("directories nested deeper than {}", kMaxTreeDepth);
  const std::uint64_t in_tree = size.bytes > before_ ? size.bytes - before_ : 0;
  if (in_tree + tmpfs_bytes(tmp_) + tmpfs_bytes(shm_) + unlinked_bytes() >
      sandbox_.limits.disk_bytes)
    return fmt::format("wrote more than {}", format_bytes(sandbox_.limits.disk_bytes));
  struct statvfs disk {};
  if (::statvfs(sandbox_.tree.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < kLeastFree &&
      in_tree > kLeastFree)
    return "the disk is nearly full";
  return {};
}

std::string TreeWatch::broken_limit() {
  const SandboxLimits& limits = sandbox_.limits;
  const Load now = load(false);
  if (now.tasks > limits.processes)
    return fmt::format("more than {} processes and threads", limits.processes);
  if (now.memory > limits.memory_bytes && load(true).memory > limits.memory_bytes)
    return fmt::format("memory over {}", format_bytes(limits.memory_bytes));
  const Milliseconds start = system_clock().monotonic();
  if (start < next_disk_check_) return {};
  std::string broken = broken_disk_limit();
  const Milliseconds end = system_clock().monotonic();
  // A large tree takes a while to walk: at most a tenth of our time goes into it.
  next_disk_check_ = end + std::max(kDiskPeriod, 10 * (end - start));
  return broken;
}

}  // namespace lathe
