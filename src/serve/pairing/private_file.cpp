// Reads and writes what nobody else on this machine may read.
#include "serve/pairing/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "ground/sys/process.h"

namespace lathe::serve {
namespace {

std::unexpected<Error> cannot_write(const fs::path& path) {
  const int problem = errno;
  const bool denied = problem == EACCES || problem == EPERM || problem == EROFS;
  return fail(denied ? ErrorKind::kDenied : ErrorKind::kUnavailable, "{}: cannot write it: {}",
              path.string(), errno_text(problem));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fsync(fd) == 0;
}

}  // namespace

Result<bool> write_private_file(const fs::path& path, std::string_view bytes, Existing existing) {
  LATHE_TRY_STATUS(make_directories(path.parent_path()));
  std::string part = path.string() + ".XXXXXX";
  UniqueFd fd(::mkostemp(part.data(), O_CLOEXEC));  // for its owner alone
  if (!fd) return cannot_write(path);
  const unsigned flags = existing == Existing::kKeep ? RENAME_NOREPLACE : 0;
  const bool done = write_all(fd.get(), bytes) &&
                    ::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, path.c_str(), flags) == 0;
  const int problem = errno;
  if (!done) ::unlink(part.c_str());
  errno = problem;
  if (!done && existing == Existing::kKeep && problem == EEXIST) return false;
  if (!done) return cannot_write(path);
  if (const UniqueFd parent(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      parent)
    ::fsync(parent.get());  // makes the new name durable too
  return true;
}

Result<std::optional<std::string>> read_private_file(const fs::path& path, std::uint64_t most) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0)
    return fail(ErrorKind::kDenied,
                "{}: others on this machine may read or change it; `chmod 600 {}`, and if somebody "
                "may have read it, remove it and pair this machine again",
                path.string(), path.string());
  auto bytes = read_file(path, most);
  if (bytes) return std::optional(*std::move(bytes));
  if (bytes.error().kind == ErrorKind::kNotFound) return std::nullopt;
  return std::unexpected(bytes.error());
}

}  // namespace lathe::serve
