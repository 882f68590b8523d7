// Asks a hub or a registry: its JSON, and pieces of files. Tries again where that may help, waits
// where the server asks for it, and gives up with what went wrong. Any thread.
#pragma once

#include <functional>
#include <optional>

#include "ground/base/json.h"
#include "ground/base/stop.h"
#include "serve/hub/source.h"
#include "serve/net/http_follow.h"

namespace lathe::serve {

struct HubAccess {
  std::string base;                // without a slash at its end
  std::string token;               // "": none
  Milliseconds patience{60'000};   // for a silent server
  ContactLog* contacts = nullptr;  // null: nobody beyond loopback is asked
};

// Why an answer is none, in words for the one who asked for `source`. Pure.
Error refusal_of(const HttpAnswer& answer, const HubAccess& access, const ModelSource& source,
                 const std::string& what);
// Whether the same question may get a better answer soon. Pure.
bool may_pass(int status);
bool may_pass(const Error& error);
// Before attempt `tried` + 1, after `tried` that brought nothing; as long as the server asks for,
// if it does. Absent: no more attempts. Pure.
std::optional<Milliseconds> wait_before(int tried, Milliseconds asked);

class HubClient {
 public:
  HubClient(HubAccess access, ModelSource source, const StopFlag& stop)
      : access_(std::move(access)), source_(std::move(source)), stop_(stop) {}

  Result<Json> json(const std::string& url, const std::string& what) const;
  // The head alone, of the first server that answers: nothing is followed.
  Result<HttpAnswer> head(const std::string& url, const std::string& what) const;
  // Bytes [from, from + count) at most; fewer where the file ends.
  Result<std::string> piece(const std::string& url, std::uint64_t from, std::uint64_t count,
                            const std::string& what) const;
  // One exchange, once. Headers beyond the client's own; see HttpCall::on_body.
  using OnBody = std::function<bool(const HttpAnswer& head, std::string_view bytes)>;
  Result<HttpAnswer> get(const std::string& url, std::vector<std::string> headers,
                         OnBody on_body) const;

  const HubAccess& access() const { return access_; }
  const ModelSource& source() const { return source_; }
  const StopFlag& stop() const { return stop_; }

 private:
  Result<HttpAnswer> answered(const std::string& what,
                              const std::function<Result<HttpAnswer>()>& ask) const;
  std::vector<std::string> credentials() const;

  const HubAccess access_;
  const ModelSource source_;
  const StopFlag& stop_;
};

// False: the flag was raised meanwhile.
bool wait_for(Milliseconds time, const StopFlag& stop);

}  // namespace lathe::serve
