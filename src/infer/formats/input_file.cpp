// Foreign files that may be cut while they are read.
#include "infer/formats/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lathe::infer {

Result<InputFile> InputFile::open(const fs::path& path) {
  // O_NONBLOCK: a pipe would wait for its writer before it could be refused.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    const ErrorKind kind = error == ENOENT || error == ENOTDIR ? ErrorKind::kNotFound
                           : error == EACCES                   ? ErrorKind::kDenied
                                                               : ErrorKind::kUnavailable;
    return fail(kind, "{}: cannot open it: {}", path.string(), std::strerror(error));
  }
  InputFile file(path, fd, 0);
  struct stat info {};
  if (::fstat(fd, &info) != 0)
    return fail(ErrorKind::kUnavailable, "{}: cannot look at it: {}", path.string(),
                std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return invalid("{}: is a directory, not a file", path.string());
  if (!S_ISREG(info.st_mode)) return invalid("{}: is not a regular file", path.string());
  file.size_ = static_cast<std::uint64_t>(info.st_size);
  file.direct_fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      direct_fd_(std::exchange(other.direct_fd_, -1)),
      size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(direct_fd_, other.direct_fd_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (direct_fd_ >= 0) ::close(direct_fd_);
}

Status InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail(ErrorKind::kUnavailable, "{}: cannot read {} bytes at {}: {}", path_.string(),
                  out.size(), offset, std::strerror(errno));
    if (n == 0)
      return fail(ErrorKind::kUnavailable,
                  "{}: ends at byte {} although it had {} bytes when it was opened; it was "
                  "changed while in use",
                  path_.string(), offset, size_);
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

std::byte* ReadBuffer::reserve(std::size_t bytes) {
  if (bytes > size_) {
    data_.reset();
    size_ = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size_)));
    LATHE_CHECK(data_ != nullptr);
  }
  return data_.get();
}

Result<std::span<const std::byte>> InputFile::read_large(std::uint64_t offset, std::size_t count,
                                                         ReadBuffer& buffer) const {
  constexpr std::uint64_t kAlignment = ReadBuffer::kAlignment;
  const std::uint64_t start = offset / kAlignment * kAlignment;
  const auto lead = static_cast<std::size_t>(offset - start);
  const std::size_t whole = (lead + count + kAlignment - 1) / kAlignment * kAlignment;
  std::byte* data = buffer.reserve(whole);
  iovec target{data, lead + count};
  std::size_t got = 0;
  // What is cached already. -1: nothing, or a file system that cannot tell.
  if (const ssize_t n = ::preadv2(fd_, &target, 1, static_cast<off_t>(start), RWF_NOWAIT); n > 0)
    got = static_cast<std::size_t>(n) / kAlignment * kAlignment;
  while (direct_fd_ >= 0 && got < lead + count) {
    const ssize_t n = ::pread(direct_fd_, data + got, whole - got, static_cast<off_t>(start + got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // the plain read below tells why
    got += static_cast<std::size_t>(n);
    if (got % kAlignment != 0) break;  // the end of the file
  }
  if (got < lead + count) {
    LATHE_TRY_STATUS(read_at(start + got, {data + got, lead + count - got}));
  }
  return std::span<const std::byte>(data + lead, count);
}

Status Cursor::bytes(std::string_view what, std::span<std::byte> out) {
  if (out.size() > remaining())
    return invalid("{}: truncated: {} needs {} bytes at offset {}, {} are left",
                   file_.path().string(), what, out.size(), position_, remaining());
  while (!out.empty()) {
    if (position_ < buffer_start_ || position_ >= buffer_start_ + buffered_) {
      buffer_start_ = position_;
      buffered_ = static_cast<std::size_t>(std::min<std::uint64_t>(kBuffer, remaining()));
      LATHE_TRY_STATUS(file_.read_at(position_, std::span(buffer_).first(buffered_)));
    }
    const std::size_t at = static_cast<std::size_t>(position_ - buffer_start_);
    const std::size_t n = std::min(out.size(), buffered_ - at);
    std::memcpy(out.data(), buffer_.data() + at, n);
    out = out.subspan(n);
    position_ += n;
  }
  return {};
}

Result<std::string> Cursor::text(std::string_view what, std::uint64_t max_bytes) {
  LATHE_TRY(const std::uint64_t length, scalar<std::uint64_t>(what));
  if (length > remaining())
    return invalid("{}: truncated: {} has a length of {} at offset {}, {} bytes are left",
                   file_.path().string(), what, length, position_, remaining());
  if (length > max_bytes)
    return invalid("{}: {} has a length of {} at offset {}, over the limit of {}",
                   file_.path().string(), what, length, position_, max_bytes);
  std::string value(static_cast<std::size_t>(length), '\0');
  LATHE_TRY_STATUS(bytes(what, std::as_writable_bytes(std::span(value))));
  return value;
}

std::string shown(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string text(name.substr(0, kLongest));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  if (name.size() > kLongest) text += "...";
  return text;
}

}  // namespace lathe::infer
