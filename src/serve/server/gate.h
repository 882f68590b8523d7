// Who may come in, decided from a request's head alone, and as whom. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/server/api_error.h"
#include "serve/server/keys.h"
#include "serve/server/sessions.h"

namespace lathe::serve {

struct GateRules {
  std::vector<std::string> api_keys = {};  // the owner's
  // People's, revoked ones too; null or empty: there are none. Where there is neither an owner's
  // key nor one of these, nobody is asked for one.
  std::shared_ptr<const KeyRing> keys = {};
  // Of the browsers that show this server's own page; null: it has none. With them the page itself
  // is open to whoever has no key yet.
  std::shared_ptr<const Sessions> sessions = {};
  std::int64_t now = 0;  // Unix seconds, by which keys and sessions expire
  // Names that this server goes by beside loopback's own: against other sites' pages that rebind
  // their name to this address.
  std::vector<std::string> hosts = {};
  bool any_address = false;  // a Host that is an IP address is fine too
  std::vector<std::string> origins =
      {};  // pages that may call it beside its own: "https://example.org"
};

// What a page of this server's own says with every change that it asks for: a form, or a page of
// another site, cannot.
bool says_change(const HttpRequest& head);
ApiError no_change_said();
// The keys that a request brings, its session's among them; none need be right.
std::vector<std::string> given_keys(const GateRules& rules, const HttpRequest& head);

// `form`: who answers there reads a form with files, and no JSON.
std::optional<ApiError> check_gate(const GateRules& rules, const HttpRequest& head,
                                   bool form = false);

// As whom a request comes in that check_gate() lets in.
struct Visitor {
  Caller caller = {};
  // It may do what concerns everybody: whoever has the owner's key, or anybody where none is asked
  // for.
  bool owner = true;
  std::shared_ptr<const Key> key = {};  // null: none, or the owner's
};
Visitor visitor_of(const GateRules& rules, const HttpRequest& head);

// The host of "name:port", "[::1]:80"; lower case, without brackets.
std::string host_name(std::string_view host);
bool is_loopback(std::string_view host);  // "localhost", 127.0.0.0/8, ::1
bool is_ip_address(std::string_view host);

}  // namespace lathe::serve
