// Who may come in, decided from a request's head alone. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/server/api_error.h"

namespace lathe::serve {

struct GateRules {
  std::vector<std::string> api_keys = {};  // empty: none is asked for
  // Names that this server goes by beside loopback's own: against other sites' pages that rebind
  // their name to this address.
  std::vector<std::string> hosts = {};
  bool any_address = false;  // a Host that is an IP address is fine too
  std::vector<std::string> origins =
      {};  // pages that may call it beside its own: "https://example.org"
};

std::optional<ApiError> check_gate(const GateRules& rules, const HttpRequest& head);

// The host of "name:port", "[::1]:80"; lower case, without brackets.
std::string host_name(std::string_view host);
bool is_loopback(std::string_view host);  // "localhost", 127.0.0.0/8, ::1
bool is_ip_address(std::string_view host);

}  // namespace lathe::serve
