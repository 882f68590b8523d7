// Where an endpoint is, and how far away that is. Pure: nothing is resolved.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "work/work.h"

namespace lathe::serve {

struct Endpoint {
  std::string url;   // normalised, without a slash at the end
  std::string host;  // without brackets
  Reach reach = Reach::kAny;
};

// http or https, a host, perhaps a port and a path; no user, query or fragment.
// Without a path it is `default_path`.
Result<Endpoint> parse_endpoint(std::string_view url, const char* default_path = "/v1");
// The same for what has paths of its own below it: without a path there is none.
Result<Endpoint> parse_base_url(std::string_view url);

// The parts of a URL that anything may have.
struct UrlParts {
  std::string host;         // without brackets
  std::string path;         // without a query, which may hold a secret
  std::string origin = {};  // scheme://host:port, the port said where it is the scheme's own, too
};
Result<UrlParts> parts_of(const std::string& url);

// Loopback: local. Private and link-local ranges: lan. Everything else, what is not understood
// included: any.
Reach reach_of_address(const sockaddr* address);
// By the name alone: an address literal, localhost (local), *.local (lan).
Reach reach_of_host(std::string_view host);
bool is_literal_host(std::string_view host);  // an address: nobody need be asked for it

}  // namespace lathe::serve
