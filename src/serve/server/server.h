// The server: routes that are given to it, behind one gate. It listens on loopback unless told
// otherwise, and off loopback only with keys.
#pragma once

#include <memory>

#include "serve/net/http_server.h"
#include "serve/server/gate.h"
#include "serve/server/quota.h"
#include "serve/server/routes.h"

namespace lathe::serve {

struct ServerConfig {
  std::vector<std::string> addresses = {"127.0.0.1", "::1"};  // IP addresses; "0.0.0.0", "::": all
  std::uint16_t port = 8080;                                  // 0: any that is free
  std::vector<std::string> api_keys = {};                     // the owner's
  std::shared_ptr<KeyFile> keys = {};                         // people's; null: there are none
  std::shared_ptr<QuotaMeter> quotas = std::make_shared<QuotaMeter>();
  std::shared_ptr<const Sessions> sessions = {};  // of its own page's; null: it has no page
  std::vector<std::string> hosts = {};            // names that it goes by, for the Host header
  std::vector<std::string> origins = {};          // pages of other places that may call it
  HttpLimits limits = {};
  // Of other machines that come; outlives the server. Null: they are not let in.
  ContactLog* contacts = nullptr;
};

class Server {
 public:
  // What the handlers have captured must outlive the server.
  static Result<std::unique_ptr<Server>> start(ServerConfig config, std::vector<RouteTable> tables);

  std::uint16_t port() const { return http_->port(); }
  std::size_t connections() const { return http_->connections(); }
  // Nothing new is taken. Answers may finish for `grace`; what is left then ends with an error that
  // its client understands, and its work is cancelled.
  void stop(Milliseconds grace) { http_->stop(grace); }

 private:
  explicit Server(std::unique_ptr<HttpServer> http) : http_(std::move(http)) {}
  std::unique_ptr<HttpServer> http_;
};

}  // namespace lathe::serve
