// A lock (flock) on a file, given back when it goes out of scope or when its process dies. Locks of
// one process on one file stand against each other too, as those of two processes do.
#pragma once

#include "books/journal/lease.h"
#include "ground/base/file.h"
#include "ground/base/units.h"

namespace lathe::books {

class FileLock : public Hold {
 public:
  // Makes the file where it is missing, for its owner alone. Locks nothing yet.
  static Result<FileLock> open(const fs::path& path);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock() override;

  bool share();  // beside others that share it; waits for one that has it alone
  // Alone; false: others have kept it for `patience`. Then what was held before is gone too.
  bool alone(Milliseconds patience);

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace lathe::books
