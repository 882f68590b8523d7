// Files of a tree that others may be changing: no link leads out of it.
#include "ground/sys/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "ground/base/text.h"
#include "ground/sys/process.h"

namespace lathe {

Result<std::string> read_beneath(const fs::path& root, std::string_view path,
                                 std::uint64_t max_bytes) {
  const std::string name = clip_utf8(path, 200);
  if (!is_safe_relative(path)) return invalid("'{}' is not a path inside the tree", name);
  const UniqueFd directory(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const UniqueFd file(static_cast<int>(
      ::syscall(SYS_openat2, directory.get(), std::string(path).c_str(), &how, sizeof how)));
  if (!file && errno == ELOOP) return invalid("'{}' is or passes a symbolic link", name);
  if (!file)
    return fail(errno == ENOENT || errno == ENOTDIR ? ErrorKind::kNotFound : ErrorKind::kDenied,
                "'{}' cannot be opened: {}", name, errno_text(errno));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return invalid("'{}' is not a regular file", name);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes)
    return invalid("'{}': {} bytes are over the limit of {}", name, size, max_bytes);
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail(ErrorKind::kUnavailable, "'{}' cannot be read: {}", name, errno_text(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace lathe
