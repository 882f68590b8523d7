// Children of this program for foreign code: started, asked over a pipe, replaced.
#include "ground/sys/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <latch>
#include <thread>

#include "ground/sys/process.h"

namespace lathe {
namespace {

constexpr int kChildSocket = STDIN_FILENO;
constexpr Milliseconds kPollStep{50};  // how soon a raised StopFlag is seen

std::array<char, 4> encode_length(std::size_t bytes) {
  const auto n = static_cast<std::uint32_t>(bytes);
  return {static_cast<char>(n & 0xFFU), static_cast<char>(n >> 8 & 0xFFU),
          static_cast<char>(n >> 16 & 0xFFU), static_cast<char>(n >> 24)};
}

std::uint32_t decode_length(const char* bytes) {
  const auto byte = [&](int i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
  return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
}

// Moves bytes over a non-blocking socket until all are there, time is up or `stop` is raised.
class Transfer {
 public:
  Transfer(int socket, Milliseconds limit, const StopFlag& stop)
      : socket_(socket), limit_(limit), end_(system_clock().monotonic() + limit), stop_(stop) {}

  Status send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      LATHE_TRY_STATUS(wait(POLLOUT));
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n < 0) return fail(ErrorKind::kUnavailable, "it ended early");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status receive_all(char* to, std::size_t size) {
    while (size > 0) {
      LATHE_TRY_STATUS(wait(POLLIN));
      const ssize_t n = ::recv(socket_, to, size, MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n <= 0) return fail(ErrorKind::kUnavailable, "it ended early");
      to += n;
      size -= static_cast<std::size_t>(n);
    }
    return {};
  }

 private:
  Status wait(short events) {
    for (;;) {
      if (stop_.raised()) return fail(ErrorKind::kCancelled, "stopped");
      const auto left = end_ - system_clock().monotonic();
      if (left <= Milliseconds(0))
        return fail(ErrorKind::kTimeout, "no answer within {}", format_duration(limit_));
      pollfd poll_for{socket_, events, 0};
      const int ready = ::poll(&poll_for, 1, static_cast<int>(std::min(left, kPollStep).count()));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR)
        return fail(ErrorKind::kUnavailable, "poll: {}", std::strerror(errno));
    }
  }

  int socket_;
  Milliseconds limit_;
  Milliseconds end_;
  const StopFlag& stop_;
};

bool read_all(int fd, char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(fd, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Status WorkerProcess::start() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(ErrorKind::kUnavailable, "socketpair: {}", std::strerror(errno));

  std::string program = command_.program.string();
  std::vector<char*> argv{program.data()};
  for (std::string& arg : command_.args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  std::vector<char*> env;
  for (std::string& variable : command_.env) env.push_back(variable.data());
  env.push_back(nullptr);

  // Its own process group: an interrupt typed at the terminal is for us to handle.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kChildSocket);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  if (!kSanitized) posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  const int failed =
      ::posix_spawn(&pid_, program.c_str(), &actions, &attributes, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(ends[1]);
  if (failed != 0) {
    ::close(ends[0]);
    pid_ = -1;
    return fail(ErrorKind::kUnavailable, "cannot start the worker {}: {}", program,
                std::strerror(failed));
  }
  socket_ = ends[0];
  return {};
}

Result<std::string> WorkerProcess::call(std::string_view request, Milliseconds limit,
                                        const StopFlag& stop) {
  if (request.size() > kMaxFrameBytes)
    return invalid("{} are more than a worker takes ({})", format_bytes(request.size()),
                   format_bytes(kMaxFrameBytes));
  if (!running()) LATHE_TRY_STATUS(start());
  last_signal_ = 0;

  Transfer transfer(socket_, limit, stop);
  const auto exchange = [&]() -> Result<std::string> {
    const auto length = encode_length(request.size());
    LATHE_TRY_STATUS(transfer.send_all({length.data(), length.size()}));
    LATHE_TRY_STATUS(transfer.send_all(request));
    std::array<char, 4> header{};
    LATHE_TRY_STATUS(transfer.receive_all(header.data(), header.size()));
    const std::uint32_t size = decode_length(header.data());
    if (size > kMaxFrameBytes)
      return fail(ErrorKind::kUnavailable, "its answer claims {}", format_bytes(size));
    std::string reply(size, '\0');
    LATHE_TRY_STATUS(transfer.receive_all(reply.data(), reply.size()));
    return reply;
  };
  Result<std::string> reply = exchange();
  if (reply) return reply;
  Error error = std::move(reply).error();
  const std::string how = error.kind == ErrorKind::kUnavailable ? describe_end() : std::string();
  kill();
  return fail(error.kind, "the worker process failed: {}{}", error.message, how);
}

std::string WorkerProcess::describe_end() {
  // Its socket is closed or broken; a moment later there is a status to read.
  for (int i = 0; i < 100; ++i) {
    int status = 0;
    const pid_t reaped = ::waitpid(pid_, &status, WNOHANG);
    if (reaped == pid_) {
      pid_ = -1;
      if (WIFSIGNALED(status)) {
        last_signal_ = WTERMSIG(status);
        const char* name = ::sigabbrev_np(last_signal_);
        return fmt::format(" (killed by SIG{})", name ? name : "?");
      }
      return fmt::format(" (exit code {})", WEXITSTATUS(status));
    }
    if (reaped < 0) break;
    ::poll(nullptr, 0, 5);
  }
  return {};
}

void WorkerProcess::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void watch_parent() {
  // PR_SET_PDEATHSIG would fire when the *thread* that started us ends, so the closed socket is
  // the sign instead.
  // A thread makes system calls of its own as it starts; confine() must find it past them.
  static std::latch started(1);
  std::thread([] {
    started.count_down();
    for (;;) {
      pollfd hang_up{kChildSocket, 0, 0};
      if (::poll(&hang_up, 1, -1) > 0) ::_exit(0);
    }
  }).detach();
  started.wait();
}

void serve_frames(const std::function<std::string(std::string_view)>& handle) {
  for (;;) {
    std::array<char, 4> header{};
    if (!read_all(kChildSocket, header.data(), header.size())) ::_exit(0);
    const std::uint32_t size = decode_length(header.data());
    if (size > kMaxFrameBytes) ::_exit(2);
    std::string request(size, '\0');
    if (!read_all(kChildSocket, request.data(), request.size())) ::_exit(0);
    const std::string reply = handle(request);
    if (reply.size() > kMaxFrameBytes) ::_exit(3);
    const auto length = encode_length(reply.size());
    if (!write_all(kChildSocket, {length.data(), length.size()}) || !write_all(kChildSocket, reply))
      ::_exit(0);
  }
}

}  // namespace lathe
