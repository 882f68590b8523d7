// The watch: sums over /proc, the tree and the file systems in memory.
#include "ground/sys/tree_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>

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

std::uint64_t whole_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t proportional_memory(int proc, const std::string& pid) {
  const std::string rollup = read_small(proc, pid + "/smaps_rollup");
  const auto found = rollup.find("\nPss:");
  return found == rollup.npos
             ? 0
             : whole_number(trim(std::string_view(rollup).substr(found + 5))) * 1024;
}

std::vector<std::string> process_ids(int proc) {
  std::vector<std::string> ids;
  const Directory directory = open_directory(proc, ".");
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') ids.emplace_back(entry->d_name);
  return ids;
}

// The fields of /proc/PID/stat from the state on, with an empty one before it; none when it is
// gone.
std::vector<std::string> stat_fields(int proc, const std::string& pid) {
  const std::string stat = read_small(proc, pid + "/stat");
  const auto name_end = stat.rfind(')');  // a program may name itself "a) b"
  if (name_end == stat.npos) return {};
  std::vector<std::string> fields = split(std::string_view(stat).substr(name_end + 1), ' ');
  return fields.size() < 23 ? std::vector<std::string>{} : fields;
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

std::uint64_t free_bytes(const fs::path& path) {
  struct statvfs disk {};
  return ::statvfs(path.c_str(), &disk) == 0 ? disk.f_bavail * disk.f_frsize : ~std::uint64_t{0};
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
      free_before_(free_bytes(sandbox.tree)),
      proc_(open_path(root / "proc")),
      tmp_(open_path(root / "tmp")),
      shm_(open_path(root / "dev/shm")) {}

// `exact` shares out pages that processes have in common, which costs the kernel a walk.
TreeWatch::Load TreeWatch::load(bool exact) const {
  Load load;
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const std::string& pid : process_ids(proc_.get())) {
    if (pid == "1") continue;  // bwrap's own init
    const std::vector<std::string> fields = stat_fields(proc_.get(), pid);
    if (fields.empty()) continue;
    load.tasks += static_cast<int>(whole_number(fields[18]));
    if (load.tasks > sandbox_.limits.processes) break;  // a bomb: say so at once
    // A first thread that has ended shows no memory, though the others go on with it.
    const bool ended = fields[1] == "Z";
    const std::string shown = ended ? threads_of(proc_.get(), pid).back() : pid;
    const std::vector<std::string> own = ended ? stat_fields(proc_.get(), shown) : fields;
    const std::uint64_t resident = own.empty() ? 0 : whole_number(own[22]) * page;
    const std::uint64_t share = exact ? proportional_memory(proc_.get(), shown) : 0;
    load.memory += share > 0 ? share : resident;
  }
  return load;
}

std::string TreeWatch::broken_disk_limit(const HiddenMemory& hidden) const {
  const std::uint64_t most = sandbox_.limits.disk_bytes;
  const TreeSize size = tree_size(sandbox_.tree);
  if (size.too_deep) return fmt::format("directories nested deeper than {}", kMaxTreeDepth);
  const std::uint64_t in_tree = size.bytes > before_ ? size.bytes - before_ : 0;
  if (in_tree + tmpfs_bytes(tmp_) + tmpfs_bytes(shm_) + hidden.unlinked > most)
    return fmt::format("wrote more than {}", format_bytes(most));
  const std::uint64_t free = free_bytes(sandbox_.tree);
  // Where it has files that cannot be counted, what the disk lost since it began counts as its own.
  if (hidden.uncounted && free_before_ > free && free_before_ - free > most)
    return fmt::format("wrote more than {}", format_bytes(most));
  if (free < kLeastFree && in_tree + hidden.unlinked > kLeastFree) return "the disk is nearly full";
  return {};
}

// Pages to share stay where they are when nobody has them in use any more, so each of them counts,
// once.
bool TreeWatch::over_memory(const HiddenMemory& hidden) const {
  const std::uint64_t most = sandbox_.limits.memory_bytes;
  const std::uint64_t more =
      hidden.kernel + (hidden.shared > hidden.resident ? hidden.shared - hidden.resident : 0);
  return load(false).memory + more > most && load(true).memory + more > most;
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
  const HiddenMemory hidden = hidden_memory(proc_.get(), {device_of(tmp_), device_of(shm_)});
  if (over_memory(hidden)) return fmt::format("memory over {}", format_bytes(limits.memory_bytes));
  std::string broken = broken_disk_limit(hidden);
  const Milliseconds end = system_clock().monotonic();
  // A large tree takes a while to walk: at most a tenth of our time goes into it.
  next_disk_check_ = end + std::max(kDiskPeriod, 10 * (end - start));
  return broken;
}

}  // namespace lathe
