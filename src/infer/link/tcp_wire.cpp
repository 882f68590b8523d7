// Sockets.
#include "infer/link/tcp_wire.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lathe::infer {
namespace {

// A write that the other side does not take, and a peer whose machine has vanished.
constexpr Milliseconds kUntaken{1500};
constexpr int kProbeAfterSeconds = 10, kProbeEverySeconds = 3, kProbes = 3;
constexpr int kLookMs = 100;  // for a stop, while nobody connects

struct Address {
  std::string host, port;
};

Result<Address> parse_address(const std::string& text) {
  Address address{.host = "127.0.0.1", .port = text};
  if (const auto colon = text.rfind(':'); colon != text.npos) {
    address.host = text.substr(0, colon);
    address.port = text.substr(colon + 1);
    if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']')
      address.host = address.host.substr(1, address.host.size() - 2);
  }
  const bool digits = !address.port.empty() && address.port.size() <= 5 &&
                      address.port.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoul(address.port) > 65535 || address.host.empty())
    return invalid("the address of a link is '{}'; write HOST:PORT", text);
  return address;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> resolve(const std::string& text, int flags) {
  LATHE_TRY(const Address address, parse_address(text));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (error != 0) return fail(ErrorKind::kUnavailable, "{}: {}", text, ::gai_strerror(error));
  return Addresses(list);
}

std::unexpected<Error> failed(const std::string& what) {
  return fail(ErrorKind::kUnavailable, "{}: {}", what, std::strerror(errno));
}

void set(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

class TcpWire final : public Wire {
 public:
  explicit TcpWire(UniqueFd socket) : socket_(std::move(socket)) {
    const int fd = socket_.get();
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kProbeAfterSeconds);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kProbeEverySeconds);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
    const timeval untaken{.tv_sec = kUntaken.count() / 1000,
                          .tv_usec = kUntaken.count() % 1000 * 1000};
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &untaken, sizeof untaken);
  }

  Status write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return fail(ErrorKind::kTimeout, "the other end of the link has taken nothing for {} ms",
                    kUntaken.count());
      if (sent <= 0) return failed("the other end of the link is gone");
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return {};
  }

  Status read(std::span<std::byte> out, Milliseconds silence) override {
    const auto done = exchange({}, out, silence);
    return done ? Status() : std::unexpected(done.error());
  }

  Result<std::size_t> exchange(std::span<const std::byte> out, std::span<std::byte> in,
                               Milliseconds silence) override {
    std::size_t written = 0;
    while (!in.empty()) {
      const std::span<const std::byte> left = out.subspan(written);
      const ssize_t sent =
          left.empty() ? 0 : ::send(socket_.get(), left.data(), left.size(), kNow | MSG_NOSIGNAL);
      if (sent < 0 && !is_not_yet(errno)) return failed("the other end of the link is gone");
      written += static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
      const ssize_t got = ::recv(socket_.get(), in.data(), in.size(), kNow);
      if (got == 0) return fail(ErrorKind::kUnavailable, "the other end of the link is gone");
      if (got < 0 && !is_not_yet(errno)) return failed("the other end of the link is gone");
      in = in.subspan(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (sent <= 0 && got < 0) LATHE_TRY_STATUS(wait(written < out.size(), silence));
    }
    return written;
  }

  void close() override { ::shutdown(socket_.get(), SHUT_RDWR); }

 private:
  static constexpr int kNow = MSG_DONTWAIT;
  static bool is_not_yet(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
  }
  // Until something came, or, if that is wanted, can be written.
  Status wait(bool writes, Milliseconds silence) {
    pollfd waits{.fd = socket_.get(),
                 .events = static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN),
                 .revents = 0};
    const int timeout = silence.count() == 0 ? -1 : static_cast<int>(silence.count());
    if (::poll(&waits, 1, timeout) != 0) return {};  // or a signal came
    return fail(ErrorKind::kTimeout, "the other end of the link has been silent for {} ms",
                silence.count());
  }

  UniqueFd socket_;
};

// `socket` does not block until it is connected.
Status connect_within(int socket, const addrinfo& to, Milliseconds limit) {
  if (::connect(socket, to.ai_addr, to.ai_addrlen) != 0 && errno != EINPROGRESS)
    return failed("connect");
  pollfd waits{.fd = socket, .events = POLLOUT, .revents = 0};
  const int ready = ::poll(&waits, 1, static_cast<int>(limit.count()));
  if (ready == 0) return fail(ErrorKind::kTimeout, "no answer within {} ms", limit.count());
  int error = 0;
  socklen_t size = sizeof error;
  if (ready < 0 || ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    return failed("connect");
  if (error != 0) return fail(ErrorKind::kUnavailable, "{}", std::strerror(error));
  return {};
}

}  // namespace

Result<std::unique_ptr<Wire>> connect_tcp(const std::string& address, Milliseconds limit) {
  LATHE_TRY(const Addresses list, resolve(address, 0));
  Status last;
  for (const addrinfo* to = list.get(); to != nullptr; to = to->ai_next) {
    UniqueFd socket(
        ::socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol));
    if (!socket) {
      last = failed("socket");
      continue;
    }
    last = connect_within(socket.get(), *to, limit);
    if (!last) continue;
    int off = 0;
    if (::ioctl(socket.get(), FIONBIO, &off) != 0) return failed("socket");
    return std::make_unique<TcpWire>(std::move(socket));
  }
  return fail(last.error().kind, "nobody is at {}: {}; start `lathe link MODEL --listen {}` there",
              address, last.error().message, address);
}

Result<TcpListener> TcpListener::open(const std::string& address) {
  LATHE_TRY(const Addresses list, resolve(address, AI_PASSIVE));
  TcpListener listener;
  listener.socket_ =
      UniqueFd(::socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol));
  if (!listener.socket_) return failed(address);
  const int fd = listener.socket_.get();
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (::bind(fd, list->ai_addr, list->ai_addrlen) != 0 || ::listen(fd, 1) != 0)
    return failed(address);
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return failed(address);
  listener.port_ =
      ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                        : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return listener;
}

Result<std::unique_ptr<Wire>> TcpListener::accept(const StopFlag& stop) {
  while (!stop.raised()) {
    pollfd waits{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waits, 1, kLookMs) <= 0) continue;
    UniqueFd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket) return std::make_unique<TcpWire>(std::move(socket));
    if (errno != EINTR && errno != ECONNABORTED) return failed("accept");
  }
  return fail(ErrorKind::kCancelled, "stopped");
}

}  // namespace lathe::infer
