// Addresses of pairing: read, shown, listened at, connected to.
#include "serve/pairing/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kLongestAddress = 300;
constexpr int kBacklog = 64;

std::unexpected<Error> not_an_address(std::string_view text) {
  return invalid("'{}' is no address; write HOST:PORT, like desk.local:8443 or [fd00::7]:8443",
                 clip_utf8(make_valid_utf8(text), 100));
}

bool is_link_local_v4(const in_addr& address) {
  return (ntohl(address.s_addr) >> 16) == 0xa9fe;
}

bool is_link_local_host(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return is_link_local_v4(v4);
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LINKLOCAL(&v6);
}

// What a name led to may be link-local, too.
bool lacks_interface(const addrinfo& found, const HostPort& address) {
  if (found.ai_family == AF_INET)
    return address.interface.empty() &&
           is_link_local_v4(reinterpret_cast<const sockaddr_in*>(found.ai_addr)->sin_addr);
  const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(found.ai_addr);
  return IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) && v6->sin6_scope_id == 0;
}

struct FreeFound {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

Result<std::unique_ptr<addrinfo, FreeFound>> find_addresses(const HostPort& address, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  const bool v6 = address.host.find(':') != std::string::npos;
  const std::string host =
      v6 && !address.interface.empty() ? address.host + "%" + address.interface : address.host;
  addrinfo* list = nullptr;
  const int error =
      ::getaddrinfo(host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (error != 0)
    return fail(ErrorKind::kUnavailable, "{}: {}", to_text(address), ::gai_strerror(error));
  return std::unique_ptr<addrinfo, FreeFound>(list);
}

std::unexpected<Error> socket_failed(const std::string& what, int problem) {
  return fail(ErrorKind::kUnavailable, "{}: {}", what, errno_text(problem));
}

Result<UniqueFd> socket_for(const addrinfo& found, const HostPort& address) {
  if (lacks_interface(found, address))
    return invalid(
        "{}: leads to a link-local address, which each interface has its own of; write "
        "ADDRESS%INTERFACE",
        address.host);
  UniqueFd socket(
      ::socket(found.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, found.ai_protocol));
  if (!socket) return socket_failed("a socket", errno);
  if (found.ai_family == AF_INET && !address.interface.empty() &&
      ::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, address.interface.c_str(),
                   static_cast<socklen_t>(address.interface.size())) != 0)
    return socket_failed("the interface " + address.interface, errno);
  return socket;
}

Status connect_within(int socket, const addrinfo& to, Milliseconds limit) {
  if (::connect(socket, to.ai_addr, to.ai_addrlen) != 0 && errno != EINPROGRESS)
    return fail(ErrorKind::kUnavailable, "{}", errno_text(errno));
  pollfd waits{.fd = socket, .events = POLLOUT, .revents = 0};
  if (::poll(&waits, 1, static_cast<int>(limit.count())) == 0)
    return fail(ErrorKind::kTimeout, "no answer within {} ms", limit.count());
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(ErrorKind::kUnavailable, "{}", errno_text(error));
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {};
}

// Private ranges before others: that is where machines of one desk are.
bool is_private_v4(std::string_view text) {
  in_addr v4{};
  if (::inet_pton(AF_INET, std::string(text).c_str(), &v4) != 1) return false;
  const std::uint32_t bits = ntohl(v4.s_addr);
  return bits >> 24 == 10 || bits >> 20 == 0xac1 || bits >> 16 == 0xc0a8;
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (text.size() > kLongestAddress || colon == text.npos) return not_an_address(text);
  HostPort address;
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return not_an_address(text);
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  if (const auto percent = host.find('%'); percent != host.npos) {
    address.interface = host.substr(percent + 1);
    host = host.substr(0, percent);
    if (address.interface.empty() || address.interface.size() >= IFNAMSIZ)
      return not_an_address(text);
  }
  address.host = host;
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
  };
  const auto fine = [&](char c) { return plain(c) || (brackets && c == ':'); };
  if (host.empty() || !std::ranges::all_of(host, fine) ||
      !std::ranges::all_of(address.interface, plain))
    return not_an_address(text);
  const bool link_local = is_link_local_host(address.host);
  if (link_local && address.interface.empty())
    return invalid(
        "{} is link-local: each interface of a machine has such addresses of its own, so write "
        "which one, {}",
        address.host,
        brackets ? fmt::format("[{}%eth0]:{}", address.host, address.port)
                 : fmt::format("{}%eth0:{}", address.host, address.port));
  if (!link_local && !address.interface.empty()) return not_an_address(text);
  return address;
}

std::string to_text(const HostPort& address) {
  const std::string host =
      address.interface.empty() ? address.host : address.host + "%" + address.interface;
  return address.host.find(':') == std::string::npos ? fmt::format("{}:{}", host, address.port)
                                                     : fmt::format("[{}]:{}", host, address.port);
}

bool is_loopback_host(std::string_view host) {
  const std::string name(host);
  in_addr v4{};
  if (::inet_pton(AF_INET, name.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return host == "::1" || host == "localhost";
}

bool is_any_host(std::string_view host) {
  return host == "0.0.0.0" || host == "::";
}

std::vector<std::string> lan_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* each = list; each; each = each->ifa_next) {
    if (!each->ifa_addr || each->ifa_addr->sa_family != AF_INET) continue;
    if ((each->ifa_flags & (IFF_UP | IFF_LOOPBACK)) != IFF_UP) continue;
    const std::string text = address_text(each->ifa_addr, sizeof(sockaddr_in));
    if (!is_link_local_host(text)) addresses.push_back(text);
  }
  ::freeifaddrs(list);
  std::ranges::stable_partition(addresses, is_private_v4);
  return addresses;
}

Result<UniqueFd> listen_at(const HostPort& address) {
  const std::string what = "cannot listen at " + to_text(address);
  auto found = find_addresses(address, AI_PASSIVE | AI_NUMERICHOST);
  if (!found)
    return invalid("{}: give an address of this machine, like 192.168.1.5:8443, or 0.0.0.0:8443",
                   what);
  LATHE_TRY(UniqueFd socket, socket_for(**found, address));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), (*found)->ai_addr, (*found)->ai_addrlen) != 0 ||
      ::listen(socket.get(), kBacklog) != 0)
    return socket_failed(what, errno);
  return socket;
}

std::uint16_t port_of(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

Result<UniqueFd> connect_to(const HostPort& address, Milliseconds limit) {
  LATHE_TRY(const auto list, find_addresses(address, 0));
  Error last;
  for (const addrinfo* to = list.get(); to != nullptr; to = to->ai_next) {
    auto socket = socket_for(*to, address);
    const Status done = socket ? connect_within(socket->get(), *to, limit)
                               : Status(std::unexpected(socket.error()));
    if (done) return socket;
    last = done.error();
  }
  return at(to_text(address), last);
}

std::string address_text(const sockaddr* address, socklen_t size) {
  char host[NI_MAXHOST] = "";
  if (::getnameinfo(address, size, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) return "?";
  return host;
}

}  // namespace lathe::serve
