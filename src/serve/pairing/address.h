// HOST:PORT as people write it, and sockets of it. Link-local addresses (169.254.0.0/16, fe80::/10)
// stand for another machine on each interface, so they are taken only with theirs:
// "[fe80::1%eth0]:8443", "169.254.7.8%eth0:8443".
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <vector>

#include "ground/base/units.h"
#include "ground/sys/process.h"

namespace lathe::serve {

struct HostPort {
  std::string host;            // a name or an address, without brackets
  std::string interface = {};  // of a link-local address
  std::uint16_t port = 0;
};

Result<HostPort> parse_host_port(std::string_view text);
std::string to_text(const HostPort& address);
// A loopback address or name: nobody else can reach it.
bool is_loopback_host(std::string_view host);
// Every address of this machine: 0.0.0.0 or [::].
bool is_any_host(std::string_view host);
// By which others in its network reach this machine, the likeliest first.
std::vector<std::string> lan_addresses();

// A socket that does not block and listens there; port 0: any that is free.
Result<UniqueFd> listen_at(const HostPort& address);
std::uint16_t port_of(int socket);
// One that is connected and does not block.
Result<UniqueFd> connect_to(const HostPort& address, Milliseconds limit);

// "10.9.8.7": of whoever is at the other end.
std::string address_text(const sockaddr* address, socklen_t size);

}  // namespace lathe::serve
