// The engine below run_command and the sandbox: starts one program, reads its output, and ends it.
// Everything is owned by the one call; may be made from any thread.
#pragma once

#include <optional>

#include "ground/sys/subprocess.h"

namespace lathe {

// Built with a sanitizer (presets asan and tsan): it needs address space, and standard error to say
// what it has found.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// A file descriptor that closes itself.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

// An anonymous file that holds `bytes`, read from its start.
Result<UniqueFd> file_of_bytes(std::string_view bytes, std::string_view what);

// An error message's "why": the text of errno.
std::string errno_text(int error);

struct ProcessHooks {
  // Descriptors the program gets, as 3, 4, … in this order. All others stay with us.
  std::vector<int> pass_fds;
  // Called every `period` with the bytes of output so far; false kills the program at once.
  std::function<bool(std::uint64_t output_bytes)> keep_running;
  Milliseconds period{50};
};

Result<Exit> run_process(const Command& command, const ProcessHooks& hooks, const StopFlag& stop);

}  // namespace lathe
