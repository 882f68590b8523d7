// Locks on files.
#include "books/sqlite/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace lathe::books {

Result<FileLock> FileLock::open(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) return FileLock(fd);
  return fail(ErrorKind::kUnavailable, "{}: cannot open it: {}", path.string(),
              std::strerror(errno));
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool FileLock::share() {
  return ::flock(fd_, LOCK_SH) == 0;
}

bool FileLock::alone(Milliseconds patience) {
  for (Milliseconds waited{0}; ::flock(fd_, LOCK_EX | LOCK_NB) != 0; waited += kLeasePause) {
    if (waited >= patience) return false;
    std::this_thread::sleep_for(kLeasePause);
  }
  return true;
}

}  // namespace lathe::books
