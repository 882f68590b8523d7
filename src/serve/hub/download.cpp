// Fetches a file, in as many exchanges as it takes.
#include "serve/hub/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "ground/base/file.h"
#include "ground/base/hash.h"
#include "serve/hub/pulled.h"

namespace lathe::serve {
namespace {

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

// The file that grows. One thread; locked for as long as it is open.
class Growing {
 public:
  static Result<Growing> open(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return problem(path, "open it", errno);
    Growing file(path, fd);
    struct stat info {};
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
      return fail(ErrorKind::kUnavailable, "{}: another lathe is fetching it", path.string());
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
      return invalid("{}: is no regular file; remove it", path.string());
    file.size_ = static_cast<std::uint64_t>(info.st_size);
    return file;
  }
  Growing(Growing&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  Growing& operator=(Growing&&) = delete;
  ~Growing() {
    if (fd_ >= 0) ::close(fd_);
  }

  std::uint64_t size() const { return size_; }

  Status empty() {
    hash_ = Sha256();
    size_ = 0;
    return ::ftruncate(fd_, 0) == 0 ? Status() : problem(path_, "empty it", errno);
  }

  // What an earlier run left, into the hash.
  Status read_again(const StopFlag& stop, const OnBytes& on_bytes) {
    std::vector<char> buffer(std::size_t{1} << 20);
    for (std::uint64_t at = 0; at < size_;) {
      if (stop.raised()) return fail(ErrorKind::kCancelled, "{}: stopped", path_.string());
      const ssize_t n = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(at));
      if (n <= 0) return problem(path_, "read it", n < 0 ? errno : EIO);
      hash_.add({buffer.data(), static_cast<std::size_t>(n)});
      at += static_cast<std::uint64_t>(n);
      on_bytes(at);
    }
    return {};
  }

  Status append(std::string_view bytes) {
    hash_.add(bytes);
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return problem(path_, "write it", errno);
      size_ += static_cast<std::uint64_t>(n);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  // Takes its place, durably.
  Status take_place(const fs::path& target) {
    if (::fsync(fd_) != 0 || ::rename(path_.c_str(), target.c_str()) != 0)
      return problem(target, "put it in place", errno);
    return {};
  }

  Status remove() {
    return ::unlink(path_.c_str()) == 0 ? Status() : problem(path_, "remove it", errno);
  }
  std::string hash() { return hash_.hex(); }

 private:
  Growing(fs::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  static std::unexpected<Error> problem(const fs::path& path, std::string_view what, int error) {
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
      return fail(ErrorKind::kUnavailable,
                  "{}: the disk is full: make room and run it again; what is there is kept",
                  path.string());
    return fail(error == EACCES || error == EROFS ? ErrorKind::kDenied : ErrorKind::kUnavailable,
                "{}: cannot {}: {}", path.string(), what, std::strerror(error));
  }

  fs::path path_;
  int fd_;
  std::uint64_t size_ = 0;
  Sha256 hash_;
};

// What one exchange came to: an error is final. `broken`: why another one may help.
struct Exchange {
  std::optional<Error> broken;
  Milliseconds asked{0};  // to wait
};

Result<Exchange> fetch_rest(const HubClient& client, const WantedFile& file, Growing& part,
                            const OnBytes& on_bytes) {
  const std::uint64_t have = part.size();
  std::vector<std::string> headers;
  if (have > 0) headers.push_back(fmt::format("Range: bytes={}-", have));
  Status kept;  // of what came
  bool begun = false;
  const auto take = [&](const HttpAnswer& head, std::string_view bytes) {
    if (!begun) {
      begun = true;
      const auto start = body_start(head, have, file.bytes, file.name);
      kept = start ? (*start == have ? Status() : part.empty()) : std::unexpected(start.error());
    }
    if (kept && bytes.size() > file.bytes - part.size())
      kept = invalid("{}: the server sends more than the {} bytes that it was said to have",
                     file.name, file.bytes);
    if (kept) kept = part.append(bytes);
    if (kept) on_bytes(part.size());
    return kept.has_value();
  };
  const auto answer = client.get(file.url, std::move(headers), take);
  if (!kept) return std::unexpected(kept.error());
  if (!answer) {
    if (may_pass(answer.error())) return Exchange{answer.error()};
    return std::unexpected(answer.error());
  }
  if (answer->status >= 400) {
    Error refusal = refusal_of(*answer, client.access(), client.source(), file.name);
    if (may_pass(answer->status)) return Exchange{std::move(refusal), answer->retry_after};
    return std::unexpected(std::move(refusal));
  }
  if (part.size() == file.bytes) return Exchange{};
  return Exchange{
      Error{ErrorKind::kUnavailable, fmt::format("{}: the transfer ended after {} of {} bytes",
                                                 file.name, part.size(), file.bytes)}};
}

}  // namespace

Result<std::uint64_t> body_start(const HttpAnswer& head, std::uint64_t have, std::uint64_t bytes,
                                 const std::string& what) {
  const auto other_length = [&](std::uint64_t says) {
    return invalid(
        "{}: the server has {} bytes of it where {} were said to be: run it again, or "
        "use another server (--hub, --registry)",
        what, says, bytes);
  };
  if (head.status == 206) {
    // "bytes 100-199/200"; the length may be '*'.
    const std::string text = head.header("content-range");
    const auto dash = text.find('-'), slash = text.find('/');
    if (!text.starts_with("bytes ") || dash == text.npos || slash == text.npos || slash < dash)
      return invalid("{}: the server sends a part and does not say which", what);
    const auto from = number_of(std::string_view(text).substr(6, dash - 6));
    const auto whole = number_of(std::string_view(text).substr(slash + 1));
    if (whole && *whole != bytes) return other_length(*whole);
    if (from != have)
      return invalid("{}: the server sends '{}' where the bytes from {} on were asked for", what,
                     text.substr(0, 80), have);
    return have;
  }
  if (const auto length = number_of(head.header("content-length")); length && *length != bytes)
    return other_length(*length);
  return 0;
}

std::uint64_t bytes_there(const fs::path& directory, const WantedFile& file) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(part_path(directory, file.name), error);
  return error || size > file.bytes ? 0 : size;
}

Status download(const HubClient& client, const WantedFile& file, const fs::path& directory,
                const OnBytes& on_bytes) {
  LATHE_TRY(Growing part, Growing::open(part_path(directory, file.name)));
  if (part.size() > file.bytes) LATHE_TRY_STATUS(part.empty());
  LATHE_TRY_STATUS(part.read_again(client.stop(), on_bytes));
  std::uint64_t most = part.size();
  for (int tried = 0; part.size() < file.bytes;) {
    LATHE_TRY(const Exchange exchange, fetch_rest(client, file, part, on_bytes));
    if (!exchange.broken) break;
    tried = part.size() > most ? 1 : tried + 1;
    most = std::max(most, part.size());
    const auto wait = wait_before(tried, exchange.asked);
    if (!wait) return std::unexpected(*exchange.broken);
    if (!wait_for(*wait, client.stop()))
      return fail(ErrorKind::kCancelled, "{}: stopped", file.name);
  }
  if (const std::string hash = part.hash(); hash != file.sha256) {
    LATHE_TRY_STATUS(part.remove());
    return invalid(
        "{}: its SHA-256 is {}, and {} was said: what came is not what was published. "
        "Nothing of it is kept; run it again, or use another server (--hub, --registry)",
        file.name, hash, file.sha256);
  }
  return part.take_place(directory / file.name);
}

}  // namespace lathe::serve
