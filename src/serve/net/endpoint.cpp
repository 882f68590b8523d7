// URLs: parsed, and how far they reach.
#include "serve/net/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "ground/base/text.h"
#include "serve/net/url_parts.h"

namespace lathe::serve {
namespace {

std::string host_of(const Url& url) {
  std::string host = part_of(url, CURLUPART_HOST);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

Reach reach_of_ipv4(std::uint32_t address) {  // host byte order
  const auto in = [&](std::uint32_t network, int bits) {
    return (address ^ network) >> (32 - bits) == 0;
  };
  if (in(0x7F000000, 8) || address == 0) return Reach::kLocal;  // 0.0.0.0 means this machine
  if (in(0x0A000000, 8) || in(0xAC100000, 12) || in(0xC0A80000, 16) || in(0xA9FE0000, 16))
    return Reach::kLan;
  return Reach::kAny;
}

Reach reach_of_ipv6(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address)) return Reach::kLocal;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    std::uint32_t mapped = 0;
    std::memcpy(&mapped, address.s6_addr + 12, 4);
    return reach_of_ipv4(ntohl(mapped));
  }
  const bool unique_local = (address.s6_addr[0] & 0xFEU) == 0xFCU;
  return unique_local || IN6_IS_ADDR_LINKLOCAL(&address) ? Reach::kLan : Reach::kAny;
}

}  // namespace

Result<UrlParts> parts_of(const std::string& text) {
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return invalid("{}: is no URL", clip_utf8(make_valid_utf8(text), 200));
  return UrlParts{host_of(url), part_of(url, CURLUPART_PATH),
                  fmt::format("{}://{}:{}", part_of(url, CURLUPART_SCHEME),
                              to_lower_ascii(part_of(url, CURLUPART_HOST)),
                              part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT))};
}

Reach reach_of_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, address, sizeof ipv4);
    return reach_of_ipv4(ntohl(ipv4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, address, sizeof ipv6);
    return reach_of_ipv6(ipv6.sin6_addr);
  }
  return Reach::kAny;
}

bool is_literal_host(std::string_view host) {
  const std::string name(host.substr(0, host.find('%')));
  in6_addr any{};
  return inet_pton(AF_INET, name.c_str(), &any) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &any) == 1;
}

Reach reach_of_host(std::string_view host) {
  const std::string name = to_lower_ascii(host.substr(0, host.find('%')));  // less a zone
  in_addr ipv4{};
  if (inet_pton(AF_INET, name.c_str(), &ipv4) == 1) return reach_of_ipv4(ntohl(ipv4.s_addr));
  in6_addr ipv6{};
  if (inet_pton(AF_INET6, name.c_str(), &ipv6) == 1) return reach_of_ipv6(ipv6);
  if (name == "localhost") return Reach::kLocal;
  return name.ends_with(".local") ? Reach::kLan : Reach::kAny;
}

namespace {

Result<Endpoint> parse_url(std::string_view text, const char* default_path) {
  const auto wrong = [&](std::string_view why) {
    return invalid("'{}' is not the URL of an endpoint: {}; write it like http://127.0.0.1:8080{}",
                   clip_utf8(make_valid_utf8(text), 200), why, default_path);
  };
  // A user part may be a password: it must not be repeated.
  if (text.find('@') != text.npos)
    return invalid("the URL of an endpoint must not hold a user or a password: give the key apart");
  if (text.find('\0') != text.npos) return wrong("it holds a NUL");
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK)
    return wrong("it can't be read");
  const std::string scheme = part_of(url, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return wrong("only http and https are spoken");
  if (!part_of(url, CURLUPART_QUERY).empty() || !part_of(url, CURLUPART_FRAGMENT).empty())
    return wrong("it has a query or a fragment");
  if (part_of(url, CURLUPART_PATH).find_first_not_of('/') == std::string::npos)
    curl_url_set(url.get(), CURLUPART_PATH, default_path, 0);
  Endpoint endpoint;
  endpoint.host = host_of(url);
  if (endpoint.host.empty()) return wrong("it has no host");
  endpoint.url = part_of(url, CURLUPART_URL);
  while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
  endpoint.reach = reach_of_host(endpoint.host);
  return endpoint;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text, const char* default_path) {
  return parse_url(text, default_path);
}

Result<Endpoint> parse_base_url(std::string_view text) {
  return parse_url(text, "");
}

}  // namespace lathe::serve
