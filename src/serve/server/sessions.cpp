// Sessions of browsers, and the cookie that names one.
#include "serve/server/sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kCookie = "lathe_session";
constexpr std::string_view kScope = "Path=/; HttpOnly; SameSite=Strict";

// From the system's own source, 256 bits.
std::string fresh_name() {
  std::random_device random;
  std::string name;
  for (int i = 0; i < 8; ++i) name += fmt::format("{:08x}", random());
  return name;
}

}  // namespace

std::string Sessions::open(std::string key, std::int64_t now) {
  const std::string name = fresh_name();
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= kMostSessions)
    sessions_.erase(std::ranges::min_element(
        sessions_, {}, [](const auto& session) { return session.second.opened; }));
  sessions_[name] = {std::move(key), now};
  return name;
}

std::optional<std::string> Sessions::key_of(std::string_view name, std::int64_t now) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(name);
  if (found == sessions_.end() || now - found->second.opened >= kSessionSeconds)
    return std::nullopt;
  return found->second.key;
}

void Sessions::close(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto found = sessions_.find(name); found != sessions_.end()) sessions_.erase(found);
}

std::string session_of(const HttpRequest& head) {
  const std::string* cookies = head.header("cookie");
  if (!cookies) return "";
  for (const std::string& cookie : split(*cookies, ';')) {
    const std::string_view pair = trim(cookie);
    if (pair.size() > kCookie.size() && pair.starts_with(kCookie) && pair[kCookie.size()] == '=')
      return std::string(pair.substr(kCookie.size() + 1));
  }
  return "";
}

std::string session_cookie(std::string_view name, bool secure) {
  return fmt::format("{}={}; {}; Max-Age={}{}", kCookie, name, kScope, kSessionSeconds,
                     secure ? "; Secure" : "");
}

std::string ended_cookie() {
  return fmt::format("{}=; {}; Max-Age=0", kCookie, kScope);
}

}  // namespace lathe::serve
