// Reads maps, descriptors and sockets of every process in a sandbox's /proc.
#include "ground/sys/hidden_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "ground/base/text.h"
#include "ground/sys/process.h"
#include "ground/sys/sysfs.h"

namespace lathe {
namespace {

constexpr std::size_t kMostMaps = std::size_t{8} << 20;  // bytes of one process's list
constexpr std::uint64_t kPipeBytes = 65536;              // seccomp lets nobody enlarge one
constexpr std::uint64_t kTerminalBytes = 131'072;
constexpr std::uint64_t kMappingBytes = 256;
constexpr std::uint64_t kUsualBuffer = 212'992;  // of a socket
constexpr std::uint64_t kDatagrams = 10;         // senders that fill one queue
constexpr std::uint64_t kLeastSkb = 1280;        // what a packet costs besides its bytes

struct CloseProcDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using ProcDirectory = std::unique_ptr<DIR, CloseProcDirectory>;

ProcDirectory open_beneath(int at, const std::string& name) {
  const int fd = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* directory = fd < 0 ? nullptr : ::fdopendir(fd);
  if (!directory && fd >= 0) ::close(fd);
  return ProcDirectory(directory);
}

std::vector<std::string> numbers_in(int at, const std::string& name) {
  std::vector<std::string> names;
  const ProcDirectory directory = open_beneath(at, name);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr)
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') names.emplace_back(entry->d_name);
  return names;
}

std::string read_proc_file(int at, const std::string& name, std::size_t most) {
  const UniqueFd file(::openat(at, name.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 65536> buffer;
  while (file && text.size() < most) {
    const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

std::uint64_t number(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  text = trim(text);
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// "RssShmem:	    1024 kB" in bytes.
std::uint64_t kilobytes(std::string_view text, std::string_view key) {
  const auto found = text.find(key);
  return found == text.npos ? 0 : number(text.substr(found + key.size())) * 1024;
}

std::uint64_t setting(const char* path, std::uint64_t otherwise) {
  const auto text = sysfs_text(path);
  return text ? number(*text) : otherwise;
}

class Reader {
 public:
  Reader(int proc, const std::set<dev_t>& counted) : proc_(proc), counted_(counted) {}

  HiddenMemory read() {
    for (const std::string& pid : numbers_in(proc_, ".")) read_process(pid);
    found_.kernel += pipes_.size() * kPipeBytes;
    sockets();
    return found_;
  }

 private:
  void read_process(const std::string& pid) {
    bool has_memory = false;
    for (const std::string& thread : threads_of(proc_, pid)) {
      descriptors(thread);
      has_memory = has_memory || memory(thread);  // which the threads share
    }
  }

  // False when this thread has no memory any more.
  bool memory(const std::string& task) {
    const std::string status = read_proc_file(proc_, task + "/status", 65536);
    if (!status.contains("VmRSS:")) return false;
    found_.kernel += kilobytes(status, "\nVmPTE:");
    found_.resident += kilobytes(status, "\nRssShmem:");
    const std::string maps = read_proc_file(proc_, task + "/maps", kMostMaps);
    for (const std::string_view line : split_lines(maps)) {
      found_.kernel += kMappingBytes;
      if (line.ends_with("(deleted)")) deleted(task, line);
    }
    return true;
  }

  // "7f0-7f1 rw-s 00000000 00:01 1035 /dev/zero (deleted)"
  void deleted(const std::string& task, std::string_view line) {
    const auto range_end = line.find(' ');
    const std::string_view range = line.substr(0, range_end);
    const auto words = split(line.substr(0, std::min(line.find('/'), line.size())), ' ');
    const auto colon = words.size() > 4 ? words[3].find(':') : std::string::npos;
    if (colon == std::string::npos) return;
    const dev_t device = ::makedev(static_cast<unsigned>(number(words[3].substr(0, colon), 16)),
                                   static_cast<unsigned>(number(words[3].substr(colon + 1), 16)));
    const std::uint64_t inode = number(words[4]);
    const bool anonymous = line.ends_with(" /dev/zero (deleted)") || line.contains(" /SYSV") ||
                           line.contains(" /memfd:") || line.contains(" /dev/shm/");
    if (counted_.contains(device)) return;
    struct stat info {};
    const bool sized =
        ::fstatat(proc_, (task + "/map_files/" + std::string(range)).c_str(), &info, 0) == 0;
    if (sized) {
      if (counted_.contains(info.st_dev) || !files_.emplace(info.st_dev, info.st_ino).second)
        return;
      const auto bytes = static_cast<std::uint64_t>(info.st_blocks) * 512;
      (anonymous ? found_.shared : found_.unlinked) += bytes;
    } else if (!anonymous) {
      found_.uncounted = true;
    } else if (anonymous_.emplace(inode, std::string(range)).second) {
      const auto dash = range.find('-');
      found_.shared += number(range.substr(dash + 1), 16) - number(range.substr(0, dash), 16);
    }
  }

  void descriptors(const std::string& task) {
    const std::string name = task + "/fd";
    const ProcDirectory directory = open_beneath(proc_, name);
    while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
      std::array<char, 64> target{};
      const int at = ::dirfd(directory.get());
      const ssize_t n = ::readlinkat(at, entry->d_name, target.data(), target.size() - 1);
      const std::string_view to(target.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      if (to.starts_with("pipe:")) {
        pipes_.emplace(to);
      } else if (to.starts_with("/dev/pt")) {
        found_.kernel += kTerminalBytes;
      } else if (to.starts_with("socket:")) {
        const std::string info = read_proc_file(proc_, task + "/fdinfo/" + entry->d_name, 4096);
        const auto passed = info.find("scm_fds:");
        found_.uncounted |= passed != info.npos && number(info.substr(passed + 8)) > 0;
      } else if (n > 0 && to.starts_with('/')) {
        struct stat info {};
        if (::fstatat(at, entry->d_name, &info, 0) != 0 || !S_ISREG(info.st_mode) ||
            info.st_nlink != 0 || counted_.contains(info.st_dev) ||
            !files_.emplace(info.st_dev, info.st_ino).second)
          continue;
        found_.unlinked += static_cast<std::uint64_t>(info.st_blocks) * 512;
      }
    }
  }

  // All of the network namespace, those that are under way in other sockets included.
  void sockets() {
    const std::uint64_t buffer = setting("/proc/sys/net/core/wmem_default", kUsualBuffer);
    const auto pids = numbers_in(proc_, ".");
    if (pids.empty()) return;
    const std::string net = pids.front() + "/net/";
    const std::string stat = read_proc_file(proc_, net + "sockstat", 4096);
    const auto used = stat.find("sockets: used ");
    if (used == stat.npos) return;
    found_.kernel += number(split(stat.substr(used + 14), '\n').front()) * buffer;
    const std::string local = read_proc_file(proc_, net + "unix", kMostMaps);
    for (const std::string_view line : split_lines(local)) {
      const auto words = split(line, ' ');
      if (words.size() > 4 && words[4] == "0002") found_.kernel += kDatagrams * buffer;
    }
    for (const char* protocol : {"tcp", "tcp6", "udp", "udp6"})
      queues(read_proc_file(proc_, net + protocol, kMostMaps));
  }

  // "0: 0100007F:1F90 00000000:0000 01 0000A000:00000000 …"
  void queues(std::string_view table) {
    for (const std::string_view line : split_lines(table)) {
      const auto colon = line.find(':', line.find(':', line.find(':', line.find(':') + 1) + 1) + 1);
      if (colon == line.npos || colon < 8 || line.size() < colon + 9) continue;
      const std::uint64_t bytes =
          number(line.substr(colon - 8, 8), 16) + number(line.substr(colon + 1, 8), 16);
      found_.kernel += bytes > 0 ? bytes + kLeastSkb : 0;
    }
  }

  int proc_;
  const std::set<dev_t>& counted_;
  HiddenMemory found_;
  std::set<std::string> pipes_;
  std::set<std::pair<dev_t, ino_t>> files_;
  std::set<std::pair<std::uint64_t, std::string>> anonymous_;
};

}  // namespace

std::vector<std::string> threads_of(int proc, const std::string& pid) {
  std::vector<std::string> threads{pid};
  for (std::string& thread : numbers_in(proc, pid + "/task"))
    if (thread != pid) threads.push_back(std::move(thread));
  return threads;
}

HiddenMemory hidden_memory(int proc, const std::set<dev_t>& counted) {
  return Reader(proc, counted).read();
}

}  // namespace lathe
