// Keys that browsers' people typed once: a cookie names a session, and the session stands for the
// key. The gate asks the key's own rules with every request, so a key that is revoked ends its
// sessions. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "serve/net/http_server.h"

namespace lathe::serve {

inline constexpr std::int64_t kSessionSeconds = 12 * 3600;
inline constexpr std::size_t kMostSessions = 1000;

class Sessions {
 public:
  // The new session's name, which nobody can guess. Beyond kMostSessions the oldest one ends.
  std::string open(std::string key, std::int64_t now);
  // The key that it stands for, until kSessionSeconds after it was opened; nullopt: no such one.
  std::optional<std::string> key_of(std::string_view name, std::int64_t now) const;
  void close(std::string_view name);

 private:
  struct Session {
    std::string key;
    std::int64_t opened = 0;  // Unix seconds
  };
  mutable std::mutex mutex_;
  std::map<std::string, Session, std::less<>> sessions_;
};

// The session that a request's cookie names; "": none.
std::string session_of(const HttpRequest& head);
// What gives a browser that cookie, and what takes it away: values of Set-Cookie. `secure`: the
// page came by TLS.
std::string session_cookie(std::string_view name, bool secure);
std::string ended_cookie();

}  // namespace lathe::serve
