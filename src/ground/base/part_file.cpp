// A part is TARGET.part, locked for as long as its writer lives: one that nobody holds was left by
// a killed process, and is written over. A second writer of the same target takes a name of its
// own.
#include "ground/base/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lathe {
namespace {

constexpr std::string_view kSuffix = ".part";

// Opens and locks `name`, and empties it; -1: another one holds it, or it is not ours to write.
int open_part(const std::string& name) {
  for (int tries = 0; tries < 3; ++tries) {
    const int fd =
        ::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) return -1;
    struct stat held {
    }, there{};
    const bool ours = ::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &held) == 0 &&
                      S_ISREG(held.st_mode) && held.st_uid == ::geteuid() && held.st_nlink <= 1;
    // Its last holder may have moved it to its place meanwhile.
    const bool still = ours && ::stat(name.c_str(), &there) == 0 && held.st_ino == there.st_ino &&
                       held.st_dev == there.st_dev;
    if (still && ::ftruncate(fd, 0) == 0) return fd;
    ::close(fd);
    if (!ours) return -1;
  }
  return -1;
}

}  // namespace

PartFile::PartFile(fs::path target, std::string name, int fd)
    : target_(std::move(target)), name_(std::move(name)), fd_(fd) {}

PartFile::PartFile(PartFile&& other) noexcept
    : target_(std::move(other.target_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

PartFile& PartFile::operator=(PartFile&& other) noexcept {
  std::swap(target_, other.target_);
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  return *this;
}

PartFile::~PartFile() {
  if (!name_.empty()) ::unlink(name_.c_str());
  if (fd_ >= 0) ::close(fd_);
}

Status PartFile::error(int code) const {
  const ErrorKind kind = code == EACCES || code == EPERM || code == EROFS ? ErrorKind::kDenied
                         : code == ENOENT || code == ENOTDIR              ? ErrorKind::kNotFound
                                                                          : ErrorKind::kUnavailable;
  return fail(kind, "{}: cannot write it: {}", target_.string(), std::strerror(code));
}

Result<PartFile> PartFile::create(const fs::path& target) {
  std::string name = target.string() + std::string(kSuffix);
  int fd = open_part(name);
  if (fd < 0) {
    name = fmt::format("{}.XXXXXX{}", target.string(), kSuffix);
    fd = ::mkostemps(name.data(), static_cast<int>(kSuffix.size()), O_CLOEXEC);
  }
  const int problem = errno;
  PartFile part(target, fd < 0 ? std::string() : std::move(name), fd);
  if (fd < 0) return std::unexpected(part.error(problem).error());
  return part;
}

Status PartFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return error(errno);
    if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Status PartFile::commit() {
  if (::fchmod(fd_, 0644) != 0 || ::fsync(fd_) != 0 ||
      ::rename(name_.c_str(), target_.c_str()) != 0)
    return error(errno);
  name_.clear();
  const fs::path parent = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  const int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);  // makes the new name durable too
    ::close(directory);
  }
  return {};
}

}  // namespace lathe
