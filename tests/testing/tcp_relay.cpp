// Threads that carry bytes: one that accepts, two for each connection.
#include "testing/tcp_relay.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

namespace lathe::testing {
namespace {

constexpr int kSmallBuffer = 4096;  // what the kernel holds must not hide how fast it goes on
constexpr std::chrono::milliseconds kLook{5};

}  // namespace

struct TcpRelay::Line {
  int near = -1, far = -1;
  std::uint64_t limit = 0;
  std::atomic<std::uint64_t> carried = 0;
  std::atomic<bool> cut = false;
  std::thread forth, back;
};

TcpRelay::TcpRelay(std::string socket_path, std::uint32_t seed)
    : path_(std::move(socket_path)), random_(seed) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  auto* const address = reinterpret_cast<sockaddr*>(&here);
  if (::bind(listener_, address, size) != 0 || ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, address, &size) != 0)
    std::abort();
  port_ = ntohs(here.sin_port);
  thread_ = std::thread([this] { accept_all(); });
}

TcpRelay::~TcpRelay() {
  ending_ = true;
  thread_.join();
  ::close(listener_);
  for (Line& line : lines_) {
    line.cut = true;
    ::shutdown(line.near, SHUT_RDWR);
    ::shutdown(line.far, SHUT_RDWR);
    line.forth.join();
    line.back.join();
    ::close(line.near);
    ::close(line.far);
  }
}

void TcpRelay::pace(std::size_t most_bytes, int most_pause_ms) {
  most_pause_ms_ = most_pause_ms;
  most_bytes_ = most_bytes;
}

void TcpRelay::accept_all() {
  while (!ending_) {
    pollfd ready{listener_, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(kLook.count())) <= 0) continue;
    const int near = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int far = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un there{};
    there.sun_family = AF_UNIX;
    path_.copy(there.sun_path, sizeof there.sun_path - 1);
    if (near < 0 || ::connect(far, reinterpret_cast<sockaddr*>(&there), sizeof there) != 0) {
      ::close(near);
      ::close(far);
      continue;
    }
    if (most_pause_ms_ > 0)
      for (const int buffer : {SO_SNDBUF, SO_RCVBUF})
        ::setsockopt(near, SOL_SOCKET, buffer, &kSmallBuffer, sizeof kSmallBuffer);
    ++connections_;
    const std::lock_guard lock(mutex_);
    Line& line = lines_.emplace_back();
    line.near = near;
    line.far = far;
    line.limit = limit_;
    line.forth = std::thread([this, &line] { pump(line, true); });
    line.back = std::thread([this, &line] { pump(line, false); });
  }
}

void TcpRelay::pump(Line& line, bool forth) {
  const int from = forth ? line.near : line.far, to = forth ? line.far : line.near;
  std::vector<char> bytes(1 << 16);
  while (!line.cut) {
    const std::size_t most = most_bytes_;
    pollfd ready{from, POLLIN, 0};
    if (most == 0) {
      std::this_thread::sleep_for(kLook);
      continue;
    }
    if (::poll(&ready, 1, static_cast<int>(kLook.count())) <= 0) continue;
    std::size_t count = std::min(most, bytes.size());
    int pause = most_pause_ms_;
    if (pause > 0) {
      const std::lock_guard lock(mutex_);
      count = 1 + random_() % count;
      pause = static_cast<int>(random_() % static_cast<std::uint32_t>(pause + 1));
    }
    const ssize_t got = ::recv(from, bytes.data(), count, 0);
    if (got <= 0 || ::send(to, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) != got)
      break;
    const auto moved = static_cast<std::uint64_t>(got);
    carried_ += moved;
    line.carried += moved;
    if (line.limit > 0 && line.carried >= line.limit) break;
    if (pause > 0) std::this_thread::sleep_for(std::chrono::milliseconds(pause));
  }
  line.cut = true;
  ::shutdown(line.near, SHUT_RDWR);
  ::shutdown(line.far, SHUT_RDWR);
}

}  // namespace lathe::testing
