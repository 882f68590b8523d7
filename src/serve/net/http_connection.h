// One connection of the HTTP server. Only http_*.cpp of this room include this: Beast compiles
// slowly. Everything runs on the I/O thread except what says otherwise.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <array>
#include <chrono>
#include <mutex>
#include <unordered_set>

#include "ground/base/hash.h"
#include "serve/net/http_server.h"

namespace lathe::serve::http_detail {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Time = std::chrono::steady_clock::time_point;

// What all connections share. Outlives the server while an exchange is still held somewhere.
struct Shared {
  explicit Shared(HttpServerConfig given)
      : config(std::move(given)), pool(static_cast<std::size_t>(config.threads)) {}

  // Any thread. Does nothing once the server is gone.
  void post(std::function<void()> work);

  const HttpServerConfig config;
  // Run by one thread, but without that hint: with it, what the thread itself posts is overtaken by
  // what others post a moment later, and an exchange's words would leave after its end.
  asio::io_context io;
  asio::thread_pool pool;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::size_t body_bytes = 0;  // being read
  bool stopping = false;

  std::mutex mutex;
  bool closed = false;         // under mutex: nothing runs any more
  std::size_t open_count = 0;  // under mutex: connections
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `contact`: its id in the log of contacts; "": it comes from this machine.
  Connection(std::shared_ptr<Shared> shared, Tcp::socket socket, std::string contact);

  void start();
  void refuse(int status, std::string_view message);  // answers, reads on for a while, closes
  void tick(Time now);                                // deadlines and pings
  void stop();                                        // the server stops: idle ones close
  void shut_down();                                   // … and its time is over
  void close();
  bool closed() const { return state_ == State::kClosed; }

  // Any thread: what an exchange asks for. `turn` says which request of the connection it belongs
  // to: an answer that comes too late must not become the next one's.
  void post(std::uint64_t turn, std::function<void(Connection&)> work);
  void set_on_gone(std::uint64_t turn, std::function<void(HttpGone)> callback);
  std::uint64_t turn() const { return turn_; }

  void reply(HttpReply reply);
  void begin(HttpStreamHead head);
  void send(std::string_view bytes);
  void end();
  void when_sent(std::function<void()> callback);
  void finish(HttpReply reply, std::string_view last);
  void abandoned();

 private:
  enum class State { kIdle, kHead, kBody, kHandling, kDraining, kClosed };

  void enter(State state, Milliseconds limit);
  void read();
  void on_read(const boost::system::error_code& error, std::size_t bytes);
  void advance();  // as far as the bytes that are there go
  bool parse();
  bool take_head();
  void fail_parse(const boost::system::error_code& error);
  void expect_request();
  void begin_answer();
  void dispatch();
  bool plain_head(HttpRequest& request);
  void end_of_input();
  void probe();
  void gone(HttpGone why);
  void write_head(int status, const std::string& type, const HttpHeaders& headers,
                  std::optional<std::uint64_t> length);
  void write_stream_head();
  void finished();  // the answer is complete: write it out, then the next request
  void flush();
  void count_sent(std::size_t bytes);
  void end_contact();
  void next_request();
  void release_body();

  const std::shared_ptr<Shared> shared_;
  Tcp::socket socket_;
  const std::string contact_;
  ContactEnd contact_end_;  // with a contact
  Sha256 sent_bytes_;
  std::array<char, 16 << 10> read_into_;
  boost::beast::flat_buffer input_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpRequest request_;
  HttpHeaders extra_headers_;
  State state_ = State::kIdle;
  Time deadline_ = Time::max();
  std::size_t booked_body_ = 0;
  std::uint64_t turn_ = 0;
  bool input_ended_ = false;
  bool keep_alive_ = true;
  bool chunked_ = true;        // the peer knows HTTP/1.1
  bool head_only_ = false;     // HEAD
  std::size_t most_body_ = 0;  // bytes of this request's
  bool must_drain_ = false;    // there may be input that nobody will look at

  // The answer.
  bool answered_ = false;  // complete
  bool head_left_ = false;
  std::optional<HttpStreamHead> stream_;
  std::uint64_t stream_bytes_ = 0;  // of its body, so far
  std::function<void()> when_sent_;
  Time last_sent_{};
  std::string pending_, writing_;
  bool write_under_way_ = false;
  Time write_since_{};

  std::mutex gone_mutex_;
  std::uint64_t gone_turn_ = 0;  // under gone_mutex_, like the next two
  std::optional<HttpGone> gone_;
  std::function<void(HttpGone)> on_gone_;
};

}  // namespace lathe::serve::http_detail
