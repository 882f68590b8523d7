// The HTTP server: accepts, hands over, ends in order.
#include "serve/net/http_server.h"

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <condition_variable>
#include <thread>

#include "ground/sys/port_holder.h"
#include "serve/net/endpoint.h"
#include "serve/net/http_connection.h"

namespace lathe::serve {

using http_detail::Connection;
using http_detail::Shared;
using http_detail::Tcp;
namespace asio = boost::asio;

namespace {

constexpr Milliseconds kTick{250};
constexpr Milliseconds kLastWords{2'000};  // for the ends of answers, once the grace is over

boost::system::error_code listen(Tcp::acceptor& acceptor, const Tcp::endpoint& endpoint) {
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

std::unexpected<Error> cannot_listen(const std::string& host, std::uint16_t port,
                                     const boost::system::error_code& error) {
  const std::string holder = error == asio::error::address_in_use ? port_holder(port) : "";
  return fail(ErrorKind::kUnavailable, "cannot listen on {} port {}: {}{}", host, port,
              error.message(), holder.empty() ? "" : " by " + holder);
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

const std::string* HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return &value;
  return nullptr;
}

HttpExchange::HttpExchange(std::shared_ptr<Connection> connection, HttpRequest request)
    : connection_(std::move(connection)),
      turn_(connection_->turn()),
      request_(std::move(request)) {}

HttpExchange::~HttpExchange() {
  post([](Connection& connection) { connection.abandoned(); });
}

void HttpExchange::post(std::function<void(Connection&)> work) {
  connection_->post(turn_, std::move(work));
}

void HttpExchange::reply(HttpReply reply) {
  post([reply = std::move(reply)](Connection& connection) { connection.reply(reply); });
}

void HttpExchange::begin(HttpStreamHead head) {
  post([head = std::move(head)](Connection& connection) { connection.begin(head); });
}

void HttpExchange::send(std::string bytes) {
  post([bytes = std::move(bytes)](Connection& connection) { connection.send(bytes); });
}

void HttpExchange::end() {
  post([](Connection& connection) { connection.end(); });
}

void HttpExchange::when_sent(std::function<void()> callback) {
  post(
      [callback = std::move(callback)](Connection& connection) { connection.when_sent(callback); });
}

void HttpExchange::finish(HttpReply reply, std::string last) {
  post([reply = std::move(reply), last = std::move(last)](Connection& connection) {
    connection.finish(reply, last);
  });
}

void HttpExchange::abort() {
  post([](Connection& connection) { connection.close(); });
}

void HttpExchange::on_gone(std::function<void(HttpGone)> callback) {
  connection_->set_on_gone(turn_, std::move(callback));
}

// The listening side: accepts, ticks, stops.
struct HttpServer::Core {
  explicit Core(HttpServerConfig config)
      : shared(std::make_shared<Shared>(std::move(config))), timer(shared->io) {}

  Status open() {
    const HttpServerConfig& config = shared->config;
    port = config.port;
    for (const std::string& host : config.hosts) {
      boost::system::error_code error;
      const auto address = asio::ip::make_address(host, error);
      if (error) return invalid("cannot listen on '{}': it is not an IP address", host);
      auto acceptor = std::make_unique<Tcp::acceptor>(shared->io);
      error = listen(*acceptor, {address, port});
      // A machine may have no IPv6, and a port that was free for one family may not be for both.
      const bool taken = error == asio::error::address_in_use;
      if (error && address.is_v6() && !acceptors.empty() && !(taken && config.port != 0)) continue;
      if (error) return cannot_listen(host, port, error);
      if (port == 0) port = acceptor->local_endpoint().port();
      acceptors.push_back(std::move(acceptor));
    }
    if (acceptors.empty()) return invalid("there is no address to listen on");
    return {};
  }

  void run() {
    for (auto& acceptor : acceptors) accept(*acceptor);
    tick();
    thread = std::thread([this] { shared->io.run(); });
  }

  void accept(Tcp::acceptor& acceptor) {
    acceptor.async_accept(
        [this, &acceptor](const boost::system::error_code& error, Tcp::socket socket) {
          if (error == asio::error::operation_aborted || shared->stopping) return;
          if (!error) admit(std::move(socket));
          if (!error || error == asio::error::connection_aborted) return accept(acceptor);
          // No descriptor is free: some will be.
          auto pause = std::make_shared<asio::steady_timer>(shared->io, Milliseconds(100));
          pause->async_wait([this, &acceptor, pause](const boost::system::error_code& cancelled) {
            if (!cancelled && !shared->stopping) accept(acceptor);
          });
        });
  }

  // Who comes from another machine is written down before a word is said. False: cannot be.
  bool record(const Tcp::socket& socket, std::string& id) const {
    boost::system::error_code error;
    const Tcp::endpoint peer = socket.remote_endpoint(error);
    const Reach reach = error ? Reach::kAny : reach_of_address(peer.data());
    if (reach == Reach::kLocal) return true;
    ContactLog* contacts = shared->config.contacts;
    if (error || contacts == nullptr) return false;
    const Tcp::endpoint own = socket.local_endpoint(error);
    auto written = contacts->begin({.kind = ContactKind::kIn,
                                    .address = peer.address().to_string(),
                                    .port = peer.port(),
                                    .host = peer.address().to_string(),
                                    .reach = reach,
                                    .allowed_by = "--listen " + own.address().to_string(),
                                    .what = fmt::format("port {}", own.port())});
    if (written) id = *std::move(written);
    return written.has_value();
  }

  void admit(Tcp::socket socket) {
    boost::system::error_code ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    std::string contact;
    if (!record(socket, contact)) return;
    auto connection = std::make_shared<Connection>(shared, std::move(socket), std::move(contact));
    shared->connections.insert(connection);
    {
      const std::lock_guard lock(shared->mutex);
      shared->open_count = shared->connections.size();
    }
    connection->start();
    const std::size_t limit = shared->config.limits.connections;
    if (shared->connections.size() > 2 * limit)
      connection->close();  // not even words for so many
    else if (shared->connections.size() > limit)
      connection->refuse(503, "too many connections; try again");
  }

  std::vector<std::shared_ptr<Connection>> all() const {
    return {shared->connections.begin(), shared->connections.end()};
  }

  void tick() {
    const auto now = std::chrono::steady_clock::now();
    for (const auto& connection : all()) connection->tick(now);
    if (shared->stopping) {
      if (now >= last_words_end)
        for (const auto& connection : all()) connection->close();
      else if (now >= grace_end && !std::exchange(told, true))
        for (const auto& connection : all()) connection->shut_down();
      if (shared->connections.empty()) return shared->io.stop();
    }
    timer.expires_after(shared->stopping ? kTick / 10 : kTick);
    timer.async_wait([this](const boost::system::error_code& error) {
      if (!error) tick();
    });
  }

  void stop(Milliseconds grace) {
    if (!thread.joinable()) return;
    asio::post(shared->io, [this, grace] {
      shared->stopping = true;
      grace_end = std::chrono::steady_clock::now() + grace;
      last_words_end = grace_end + kLastWords;
      for (auto& acceptor : acceptors) acceptor->close();
      for (const auto& connection : all()) connection->stop();
      timer.cancel();
      tick();
    });
    thread.join();
    {
      const std::lock_guard lock(shared->mutex);
      shared->closed = true;
    }
    shared->pool.join();
    // What was posted meanwhile holds connections: it runs into closed ones, and is gone.
    shared->io.restart();
    shared->io.poll();
  }

  std::shared_ptr<Shared> shared;
  std::vector<std::unique_ptr<Tcp::acceptor>> acceptors;
  asio::steady_timer timer;
  std::thread thread;
  std::uint16_t port = 0;
  std::chrono::steady_clock::time_point grace_end, last_words_end;
  bool told = false;
};

HttpServer::HttpServer(std::unique_ptr<Core> core) : core_(std::move(core)) {}

HttpServer::~HttpServer() {
  stop(Milliseconds(0));
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerConfig config) {
  auto core = std::make_unique<Core>(std::move(config));
  LATHE_TRY_STATUS(core->open());
  core->run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

std::uint16_t HttpServer::port() const {
  return core_->port;
}

std::size_t HttpServer::connections() const {
  const std::lock_guard lock(core_->shared->mutex);
  return core_->shared->open_count;
}

void HttpServer::stop(Milliseconds grace) {
  core_->stop(grace);
}

}  // namespace lathe::serve
