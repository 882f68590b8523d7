// An HTTP/1.1 server: one I/O thread that owns every socket, and a small pool of threads on which
// the handler runs. A socket is read all the time, also while its answer is being made, so that a
// peer that goes away is noticed at once. Everything is bounded: heads, bodies (each, and all
// together), time, connections, and what waits for a peer that does not read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ground/base/result.h"
#include "ground/base/units.h"
#include "serve/net/contact_log.h"

namespace lathe::serve {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// What stands for other bytes as %41. nullopt: a '%' without its two digits.
std::optional<std::string> percent_decoded(std::string_view text);

struct HttpRequest {
  std::string method;
  std::string path;     // percent-decoded: any bytes
  std::string query;    // as sent, without '?'
  HttpHeaders headers;  // names in lower case
  std::string body;

  // The first header of this (lower-case) name; nullptr: there is none.
  const std::string* header(std::string_view name) const;
};

struct HttpReply {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  HttpHeaders headers = {};
};

// How a stream begins, and what is sent when it has been silent for a while (empty: nothing).
struct HttpStreamHead {
  std::string type = "text/event-stream";
  HttpHeaders headers = {};
  std::string ping = {};
  int status = 200;
  std::optional<std::uint64_t> length = {};  // of its body, where that is known before
  bool closes = false;                       // the connection ends with it
};

enum class HttpGone {
  kPeer,      // the peer closed its side: nobody waits for an answer
  kShutdown,  // the server's time to finish is over: what is written now still leaves
};

namespace http_detail {
class Connection;
}

// One request and its answer: either reply(), or begin(), send()… and end(). Any thread may call
// anything, also after the connection has gone: then nothing happens. Let go without an answer, the
// peer gets a 500.
class HttpExchange {
 public:
  HttpExchange(std::shared_ptr<http_detail::Connection> connection, HttpRequest request);
  ~HttpExchange();
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  const HttpRequest& request() const { return request_; }

  void reply(HttpReply reply);
  // From now on this is a stream. Its head leaves with the first bytes or the first ping, so that
  // what fails before can still be a plain answer: finish().
  void begin(HttpStreamHead head);
  void send(std::string bytes);
  void end();
  // Called once when nothing of what was sent waits here any more, from the I/O thread: who sends
  // much sends the next part then. Never, where the peer goes first.
  void when_sent(std::function<void()> callback);
  // The end of something that may have begun: `reply` if nothing has left yet, else `last` ends the
  // stream.
  void finish(HttpReply reply, std::string last);
  // Of a stream that is not whole: the connection ends with it, so that nobody takes it for whole.
  void abort();
  // Called at most once, from the I/O thread or, when it has happened already, from here.
  void on_gone(std::function<void(HttpGone)> callback);

 private:
  void post(std::function<void(http_detail::Connection&)> work);

  const std::shared_ptr<http_detail::Connection> connection_;
  const std::uint64_t turn_;  // which request of the connection this is
  const HttpRequest request_;
};

struct HttpLimits {
  std::size_t head_bytes = 8 << 10;
  std::size_t body_bytes = std::size_t{64} << 20;
  std::size_t form_bytes = std::size_t{96} << 20;         // the same of a form with files
  std::size_t all_bodies_bytes = std::size_t{256} << 20;  // of all connections, until answered
  std::size_t pipelined_bytes = 64 << 10;                 // that come while an answer is made
  std::size_t backlog_bytes = std::size_t{4} << 20;       // of a stream that is not read
  std::size_t connections = 768;                          // further ones get a 503
  Milliseconds head_time{10'000}, body_time{120'000}, idle_time{75'000};
  Milliseconds write_time{30'000};  // without a byte taken
  Milliseconds ping_time{5'000};
};

struct HttpServerConfig {
  std::vector<std::string> hosts = {"127.0.0.1", "::1"};  // addresses to listen on
  std::uint16_t port = 0;                                 // 0: any that is free
  int threads = 8;                                        // for the handler
  ContactLog* contacts = nullptr;  // null: who comes from another machine is not let in
  HttpLimits limits = {};
  // Looks at a head before its body is read, on the I/O thread: a reply refuses it.
  std::function<std::optional<HttpReply>(const HttpRequest&)> gate;
  // Whether the body of such a head is a form with files; empty: none is.
  std::function<bool(const HttpRequest&)> takes_form;
  std::function<void(std::shared_ptr<HttpExchange>)> handler;
  // Makes the body of an answer to what is not HTTP, too large or too slow; `path` may be empty.
  std::function<HttpReply(int status, std::string_view message, std::string_view path)> refusal;
  // Further headers of every answer to this request; may be empty.
  std::function<HttpHeaders(const HttpRequest&)> headers;
};

class HttpServer {
 public:
  // Listens before it returns. An IPv6 address that this machine does not have is left out if there
  // is another one. A port in use: the error says who has it, where that can be seen.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerConfig config);
  ~HttpServer();  // stop(0)

  std::uint16_t port() const;
  std::size_t connections() const;
  // No new connections; what is under way may finish for `grace`; then each of the rest is told
  // (HttpGone::kShutdown), and its answer may leave. Returns when all is over. Not from a handler.
  void stop(Milliseconds grace);

 private:
  struct Core;
  explicit HttpServer(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace lathe::serve
