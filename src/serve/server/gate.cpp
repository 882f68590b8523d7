// Who may call: names, origins, keys, and what can be a body at all.
#include "serve/server/gate.h"

#include <arpa/inet.h>

#include <algorithm>

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "serve/net/forwarded.h"
#include "serve/net/multipart.h"
#include "serve/server/routes.h"

namespace lathe::serve {
namespace {

// Takes as long for a wrong key as for the right one.
bool same_key(std::string_view given, std::string_view key) {
  unsigned difference = given.size() == key.size() ? 0 : 1;
  for (std::size_t i = 0; i < key.size(); ++i)
    difference |= static_cast<unsigned char>(key[i]) ^
                  static_cast<unsigned char>(given.empty() ? 0 : given[i % given.size()]);
  return difference == 0;
}

bool is_owner(const GateRules& rules, const std::vector<std::string>& given) {
  bool found = false;
  for (const std::string& one : given)
    for (const std::string& key : rules.api_keys) found = same_key(one, key) || found;
  return found;
}

const Key* key_of(const GateRules& rules, const std::vector<std::string>& given) {
  for (const std::string& one : given)
    if (const Key* key = rules.keys ? rules.keys->find(one) : nullptr) return key;
  return nullptr;
}

bool asks_for_keys(const GateRules& rules) {
  return !rules.api_keys.empty() || (rules.keys && !rules.keys->empty());
}

// What concerns everybody is the owner's.
bool is_owners(std::string_view path) {
  return path == "/models/load" || path == "/models/unload" || path == "/metrics";
}

// The page is shown to whoever has no key yet, so that one can be typed.
bool is_open(const GateRules& rules, const HttpRequest& head) {
  const std::string_view path = route_path(head.path);
  return path == "/health" || head.method == "OPTIONS" ||
         (rules.sessions && (path == "/" || path.starts_with("/web/")));
}

// A browser sends its cookie whoever made it ask.
bool changes_by_cookie(const GateRules& rules, const HttpRequest& head) {
  return rules.sessions && head.method != "GET" && head.method != "HEAD" &&
         !session_of(head).empty() && !head.header("authorization") && !head.header("x-api-key");
}

std::optional<ApiError> check_key_of(const GateRules& rules, const HttpRequest& head) {
  const std::vector<std::string> given = given_keys(rules, head);
  if (is_owner(rules, given)) return std::nullopt;
  const auto refused = [](std::string message) {
    return ApiError{401, std::move(message), {}, "invalid_api_key"};
  };
  const Key* key = key_of(rules, given);
  if (key == nullptr)
    return refused("an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY");
  if (key->revoked)
    return refused(fmt::format("the key '{}' was revoked on {}; ask whoever runs this server",
                               key->name, format_utc(*key->revoked * 1000)));
  if (key->expires && *key->expires <= rules.now)
    return refused(fmt::format("the key '{}' expired on {}; ask whoever runs this server",
                               key->name, format_utc(*key->expires * 1000)));
  if (is_owners(route_path(head.path)))
    return ApiError{403,
                    fmt::format("this is for whoever runs the server: the key '{}' may not; the "
                                "owner's (lathe serve --api-key-env) may",
                                key->name)};
  return std::nullopt;
}

bool host_allowed(const GateRules& rules, const HttpRequest& head) {
  const std::string* host = head.header("host");
  if (!host) return true;  // HTTP/1.0: no browser
  const std::string name = host_name(*host);
  return is_loopback(name) || (rules.any_address && is_ip_address(name)) ||
         std::ranges::any_of(
             rules.hosts, [&](const std::string& known) { return to_lower_ascii(known) == name; });
}

// Browsers say where a page comes from, with every request that another site's page can make them
// send; other programs say nothing.
bool origin_allowed(const GateRules& rules, const HttpRequest& head) {
  const std::string* host = head.header("host");
  bool named = false;
  for (const auto& [name, origin] : head.headers) {
    if (to_lower_ascii(name) != "origin") continue;
    named = true;
    const bool own = host && (origin == "http://" + *host || origin == "https://" + *host);
    if (!own && std::ranges::count(rules.origins, origin) == 0) return false;
  }
  const std::string* site = head.header("sec-fetch-site");
  return named || !site || *site == "same-origin" || *site == "none";
}

// Programs send JSON under many types, curl's own among them. What is packed in another way, or is
// a form with files, is no JSON.
std::optional<ApiError> check_body(const HttpRequest& head, bool form) {
  const std::string* encoding = head.header("content-encoding");
  const bool packed = encoding && to_lower_ascii(*encoding) != "identity";
  const std::string* type = head.header("content-type");
  if (form && (packed || !type || !is_form(*type)))
    return ApiError{
        415, "the body must be a form with a file, not packed: Content-Type: multipart/form-data"};
  if (!form && (packed || (type && to_lower_ascii(*type).starts_with("multipart/"))))
    return ApiError{
        415, "the body must be JSON, not packed and no form: Content-Type: application/json"};
  return std::nullopt;
}

std::string origin_of(const HttpRequest& head) {
  const std::string* origin = head.header("origin");
  return origin ? clip_utf8(make_valid_utf8(*origin), 100) : "another site";
}

}  // namespace

std::string host_name(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    return to_lower_ascii(std::string(host.substr(1, end == host.npos ? end : end - 1)));
  }
  if (std::ranges::count(host, ':') == 1) host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return to_lower_ascii(std::string(host));
}

bool is_ip_address(std::string_view host) {
  const std::string text(host);
  in6_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost") || host == "::1" ||
         (host.starts_with("127.") && is_ip_address(host));
}

std::vector<std::string> given_keys(const GateRules& rules, const HttpRequest& head) {
  std::vector<std::string> given;
  if (const std::string* key = head.header("x-api-key")) given.push_back(*key);
  if (const std::string* bearer = head.header("authorization"))
    if (to_lower_ascii(bearer->substr(0, 7)) == "bearer ")
      given.emplace_back(trim(std::string_view(*bearer).substr(7)));
  if (rules.sessions)
    if (auto key = rules.sessions->key_of(session_of(head), rules.now))
      given.push_back(*std::move(key));
  return given;
}

bool says_change(const HttpRequest& head) {
  const std::string* said = head.header("x-lathe");
  return said && *said == "1";
}

ApiError no_change_said() {
  return {403, "a change is asked for with the header 'X-Lathe: 1'; this request has none"};
}

std::optional<ApiError> check_gate(const GateRules& rules, const HttpRequest& head, bool form) {
  if (!host_allowed(rules, head))
    return ApiError{403, fmt::format("this server does not go by the name of '{}'",
                                     clip_utf8(make_valid_utf8(*head.header("host")), 100))};
  if (!origin_allowed(rules, head))
    return ApiError{
        403, fmt::format("pages of '{}' may not call this server; `lathe serve --origin` lets them",
                         origin_of(head))};
  if (!is_open(rules, head) && asks_for_keys(rules)) {
    if (auto refusal = check_key_of(rules, head)) return refusal;
    if (changes_by_cookie(rules, head) && !says_change(head)) return no_change_said();
  }
  return head.method == "POST" ? check_body(head, form) : std::nullopt;
}

namespace {

Visitor known_visitor(const GateRules& rules, const HttpRequest& head) {
  if (!asks_for_keys(rules)) return {};
  const std::vector<std::string> given = given_keys(rules, head);
  if (is_owner(rules, given)) return {.caller = {.key = std::string(kOwnerName)}};
  const Key* key = key_of(rules, given);
  if (key == nullptr) return {.owner = false};  // where no key is needed
  // As long as the ring it stands in.
  return {
      .caller = key->caller(), .owner = false, .key = std::shared_ptr<const Key>(rules.keys, key)};
}

}  // namespace

Visitor visitor_of(const GateRules& rules, const HttpRequest& head) {
  Visitor visitor = known_visitor(rules, head);
  // Whoever asks may stand back behind others, never before them.
  const std::string* said = head.header(kClassHeader);
  if (said && parse_class(*said) == CallClass::kBackground)
    visitor.caller.call_class = CallClass::kBackground;
  return visitor;
}

}  // namespace lathe::serve
