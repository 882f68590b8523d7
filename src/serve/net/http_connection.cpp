// One connection of the HTTP server.
#include "serve/net/http_connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>

#include <ctime>

#include "ground/base/text.h"

namespace lathe::serve::http_detail {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr Milliseconds kDrainTime{2'000};
constexpr Milliseconds kForever{-1};

Time now() {
  return std::chrono::steady_clock::now();
}

std::string http_date() {
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return std::string(text, length);
}

}  // namespace

void Shared::post(std::function<void()> work) {
  const std::lock_guard lock(mutex);
  if (!closed) asio::post(io, std::move(work));
}

Connection::Connection(std::shared_ptr<Shared> shared, Tcp::socket socket, std::string contact)
    : shared_(std::move(shared)), socket_(std::move(socket)), contact_(std::move(contact)) {}

void Connection::start() {
  expect_request();
  enter(State::kIdle, shared_->config.limits.head_time);
  read();
}

void Connection::enter(State state, Milliseconds limit) {
  state_ = state;
  deadline_ = limit == kForever ? Time::max() : now() + limit;
}

// --- in -----------------------------------------------------------------------------------------

void Connection::read() {
  socket_.async_read_some(asio::buffer(read_into_),
                          [self = shared_from_this()](const auto& error, std::size_t bytes) {
                            self->on_read(error, bytes);
                          });
}

void Connection::on_read(const boost::system::error_code& error, std::size_t bytes) {
  if (state_ == State::kClosed) return;
  if (error == asio::error::eof) return end_of_input();
  if (error) return close();
  contact_end_.received += bytes;
  if (state_ == State::kDraining) return read();
  input_.commit(asio::buffer_copy(input_.prepare(bytes), asio::buffer(read_into_, bytes)));
  advance();
  if (state_ == State::kClosed) return;
  if (state_ == State::kHandling && input_.size() > shared_->config.limits.pipelined_bytes) {
    return close();
  }
  read();
}

void Connection::end_of_input() {
  input_ended_ = true;
  if (state_ != State::kHandling) return close();
  keep_alive_ = false;
  if (!answered_) probe();
}

// Whether the peer has gone or has only closed its sending side, its end of input does not tell. A
// few bytes without a meaning do: one that has gone answers them with a reset.
void Connection::probe() {
  socket_.async_wait(Tcp::socket::wait_error,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       if (!error) self->close();
                     });
  if (!head_left_ && chunked_) {
    pending_ += "HTTP/1.1 102 Processing\r\n\r\n";
    flush();
  } else if (head_left_ && stream_ && !stream_->ping.empty()) {
    send(stream_->ping);
  }
}

void Connection::advance() {
  while ((state_ == State::kIdle || state_ == State::kHead || state_ == State::kBody) &&
         input_.size() > 0) {
    if (state_ == State::kIdle) enter(State::kHead, shared_->config.limits.head_time);
    if (!parse()) return;
  }
}

void Connection::expect_request() {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(shared_->config.limits.head_bytes));
  // Before the head is known, the most that any request may have.
  most_body_ = std::max(shared_->config.limits.body_bytes, shared_->config.limits.form_bytes);
  parser_->body_limit(most_body_);
}

// One step of the parser; false: it needs more bytes, or the request is done with.
bool Connection::parse() {
  const HttpLimits& limits = shared_->config.limits;
  beast::error_code error;
  input_.consume(parser_->put(input_.data(), error));
  const bool starved = error == http::error::need_more;
  if (error && !starved) {
    fail_parse(error);
    return false;
  }
  if (!parser_->is_header_done()) return !starved;
  if (state_ == State::kHead && !take_head()) return false;

  const std::size_t size = parser_->get().body().size();
  shared_->body_bytes += size - booked_body_;
  booked_body_ = size;
  if (parser_->is_done()) {
    dispatch();
    return false;
  }
  if (shared_->body_bytes > limits.all_bodies_bytes) {
    refuse(503, "too many large requests at once; try again");
    return false;
  }
  // A head is bounded by the parser; the line of a chunk and a trailer are bounded here.
  if (starved && input_.size() > limits.head_bytes) {
    refuse(400, "a chunk of the body has no size, or its line is too long");
    return false;
  }
  return !starved;
}

void Connection::fail_parse(const boost::system::error_code& error) {
  if (error == http::error::header_limit)
    return refuse(431, fmt::format("the request's head is larger than {} bytes",
                                   shared_->config.limits.head_bytes));
  if (error == http::error::body_limit)
    return refuse(413, fmt::format("the body is larger than {} bytes", most_body_));
  refuse(400, fmt::format("not a valid HTTP request: {}", error.message()));
}

// The head is there: what is wrong with it is said before the body is read.
bool Connection::take_head() {
  const auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  std::string target(message.target());
  // Absolute-form: the target says who is meant, whatever Host says (RFC 9112, 3.2.2).
  std::optional<std::string> authority;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::size_t end = std::min(target.find_first_of("/?", scheme.size()), target.size());
    authority = target.substr(scheme.size(), end - scheme.size());
    target.erase(0, end);
    if (!target.starts_with('/')) target.insert(0, "/");
    break;
  }
  const std::size_t mark = target.find('?');
  if (mark != target.npos) request.query = target.substr(mark + 1);
  auto path = percent_decoded(std::string_view(target).substr(0, mark));
  for (const auto& field : message)
    request.headers.emplace_back(to_lower_ascii(std::string(field.name_string())),
                                 std::string(field.value()));
  if (authority) {
    std::erase_if(request.headers, [](const auto& header) { return header.first == "host"; });
    request.headers.emplace_back("host", *authority);
  }
  keep_alive_ = message.keep_alive() && !shared_->stopping;
  chunked_ = message.version() >= 11;
  head_only_ = message.method() == http::verb::head;
  if (path) request.path = std::move(*path);
  request_ = std::move(request);
  if (shared_->config.headers) extra_headers_ = shared_->config.headers(request_);
  if (!path || !request_.path.starts_with('/')) {
    refuse(400, "the request's path is not valid");
    return false;
  }
  if (!plain_head(request_)) return false;
  must_drain_ = !parser_->is_done();
  if (auto refusal = shared_->config.gate ? shared_->config.gate(request_) : std::nullopt) {
    if (must_drain_) keep_alive_ = false;
    begin_answer();
    reply(std::move(*refusal));
    return false;
  }
  const bool form = shared_->config.takes_form && shared_->config.takes_form(request_);
  most_body_ = form ? shared_->config.limits.form_bytes : shared_->config.limits.body_bytes;
  parser_->body_limit(most_body_);  // of one that comes in chunks
  if (parser_->content_length().value_or(0) > most_body_) {
    refuse(413, fmt::format("the body is larger than {} bytes", most_body_));
    return false;
  }
  const std::string* expect = request_.header("expect");
  if (expect && to_lower_ascii(*expect) != "100-continue") {
    refuse(417, "the only expectation that is met is 100-continue");
    return false;
  }
  if (expect && must_drain_ && chunked_) {
    pending_ += "HTTP/1.1 100 Continue\r\n\r\n";
    flush();
  }
  parser_->eager(true);
  enter(State::kBody, shared_->config.limits.body_time);
  return true;
}

// Nothing that two readers could read in two ways.
bool Connection::plain_head(HttpRequest& request) {
  const auto count = [&](std::string_view name) {
    return std::ranges::count(request.headers, name, &HttpHeaders::value_type::first);
  };
  const std::string* coding = request.header("transfer-encoding");
  if (coding && (count("content-length") > 0 || count("transfer-encoding") > 1)) {
    refuse(400, "both a Content-Length and a Transfer-Encoding, or two of them");
  } else if (coding && to_lower_ascii(*coding) != "chunked") {
    refuse(501, "the only transfer coding that is known is chunked");
  } else if (count("content-length") > 1 || count("host") > 1) {
    refuse(400, "a header that may stand once stands twice");
  } else if (chunked_ && count("host") == 0) {
    refuse(400, "HTTP/1.1 requires a Host header");
  } else {
    return true;
  }
  return false;
}

void Connection::begin_answer() {
  enter(State::kHandling, kForever);
  const std::lock_guard lock(gone_mutex_);
  gone_turn_ = ++turn_;
  gone_.reset();
  on_gone_ = {};
}

void Connection::dispatch() {
  request_.body = std::move(parser_->get().body());
  must_drain_ = false;
  begin_answer();
  auto exchange = std::make_shared<HttpExchange>(shared_from_this(), std::move(request_));
  request_ = {};
  asio::post(shared_->pool, [shared = shared_.get(), exchange = std::move(exchange)]() mutable {
    shared->config.handler(std::move(exchange));
  });
}

void Connection::release_body() {
  shared_->body_bytes -= booked_body_;
  booked_body_ = 0;
}

// --- out ----------------------------------------------------------------------------------------

void Connection::post(std::uint64_t turn, std::function<void(Connection&)> work) {
  shared_->post([self = shared_from_this(), turn, work = std::move(work)] {
    if (self->turn_ == turn && self->state_ == State::kHandling && !self->answered_) work(*self);
  });
}

void Connection::write_head(int status, const std::string& type, const HttpHeaders& headers,
                            std::optional<std::uint64_t> length) {
  head_left_ = true;
  const auto reason = http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status)));
  pending_ += fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status,
                          std::string_view(reason.data(), reason.size()), http_date());
  if (!type.empty()) pending_ += fmt::format("Content-Type: {}\r\n", type);
  const auto put = [&](const HttpHeaders& more) {
    for (const auto& [name, value] : more) pending_ += fmt::format("{}: {}\r\n", name, value);
  };
  put(headers);
  HttpHeaders others = extra_headers_;
  std::erase_if(others, [&](const auto& header) {
    return std::ranges::count(headers, header.first, &HttpHeaders::value_type::first) > 0;
  });
  put(others);
  if (length)
    pending_ += fmt::format("Content-Length: {}\r\n", *length);
  else if (chunked_)
    pending_ += "Transfer-Encoding: chunked\r\n";
  else
    keep_alive_ = false;  // the end of the connection ends the body
  pending_ += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
}

void Connection::reply(HttpReply reply) {
  LATHE_CHECK(!head_left_);
  write_head(reply.status, reply.type, reply.headers, reply.body.size());
  if (!head_only_) pending_ += reply.body;
  finished();
}

void Connection::begin(HttpStreamHead head) {
  stream_ = std::move(head);
  stream_bytes_ = 0;
  last_sent_ = now();
  if (stream_->closes) keep_alive_ = false;
}

void Connection::write_stream_head() {
  if (!head_left_) write_head(stream_->status, stream_->type, stream_->headers, stream_->length);
}

void Connection::send(std::string_view bytes) {
  if (!stream_ || bytes.empty()) return;
  write_stream_head();
  if (!head_only_) {
    const bool chunks = chunked_ && !stream_->length;
    if (chunks) pending_ += fmt::format("{:x}\r\n", bytes.size());
    pending_ += bytes;
    if (chunks) pending_ += "\r\n";
  }
  stream_bytes_ += bytes.size();
  last_sent_ = now();
  flush();
  if (pending_.size() > shared_->config.limits.backlog_bytes) {
    close();
  }
}

void Connection::end() {
  if (!stream_) return;
  write_stream_head();
  // What is shorter than it was said to be must not look whole.
  if (stream_->length && stream_bytes_ != *stream_->length && !head_only_) return close();
  if (chunked_ && !stream_->length && !head_only_) pending_ += "0\r\n\r\n";
  finished();
}

void Connection::when_sent(std::function<void()> callback) {
  when_sent_ = std::move(callback);
  flush();
}

void Connection::finish(HttpReply reply, std::string_view last) {
  if (!head_left_) return this->reply(std::move(reply));
  send(last);
  if (state_ == State::kHandling) end();
}

void Connection::abandoned() {
  finish(shared_->config.refusal(500, "the request was dropped inside the server", {}), {});
}

void Connection::refuse(int status, std::string_view message) {
  keep_alive_ = false;
  must_drain_ = true;
  begin_answer();
  reply(shared_->config.refusal(status, message, request_.path));
}

void Connection::finished() {
  answered_ = true;
  release_body();
  {
    const std::lock_guard lock(gone_mutex_);
    gone_turn_ = 0;
    on_gone_ = {};
  }
  flush();
}

void Connection::flush() {
  if (write_under_way_ || state_ == State::kClosed) return;
  if (pending_.empty()) {
    if (const auto callback = std::exchange(when_sent_, {})) callback();
    if (answered_) next_request();
    return;
  }
  writing_ = std::exchange(pending_, {});
  write_under_way_ = true;
  write_since_ = now();
  auto self = shared_from_this();
  // Piece by piece, so that progress is seen.
  asio::async_write(
      socket_, asio::buffer(writing_),
      [self](const boost::system::error_code& error, std::size_t) -> std::size_t {
        self->write_since_ = now();
        return error ? 0 : 64 << 10;
      },
      [self](const boost::system::error_code& error, std::size_t bytes) {
        self->write_under_way_ = false;
        self->count_sent(bytes);
        if (self->state_ == State::kClosed) return self->end_contact();
        if (error) return self->close();
        self->flush();
      });
}

void Connection::count_sent(std::size_t bytes) {
  if (contact_.empty()) return;
  contact_end_.sent += bytes;
  sent_bytes_.add(std::string_view(writing_).substr(0, bytes));
}

void Connection::end_contact() {
  if (contact_.empty()) return;
  if (contact_end_.sent > 0) contact_end_.sha256 = sent_bytes_.hex();
  contact_end_.outcome = "closed";
  shared_->config.contacts->end(contact_, contact_end_);
}

// The answer has left.
void Connection::next_request() {
  if (keep_alive_ && !input_ended_ && !shared_->stopping) {
    answered_ = head_left_ = false;
    stream_.reset();
    when_sent_ = {};
    expect_request();
    enter(State::kIdle, shared_->config.limits.idle_time);
    // Not from here: a long pipeline must not become a deep stack.
    asio::post(shared_->io, [self = shared_from_this()] { self->advance(); });
    return;
  }
  if (!must_drain_ || input_ended_) return close();
  // A close with unread input would be a reset, and the peer might never see the answer.
  beast::error_code ignored;
  socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  enter(State::kDraining, kDrainTime);
}

// --- life ---------------------------------------------------------------------------------------

void Connection::set_on_gone(std::uint64_t turn, std::function<void(HttpGone)> callback) {
  std::optional<HttpGone> already;
  {
    const std::lock_guard lock(gone_mutex_);
    if (turn != gone_turn_) return;
    already = gone_;
    if (!already) on_gone_ = std::move(callback);
  }
  if (already) callback(*already);
}

void Connection::gone(HttpGone why) {
  std::function<void(HttpGone)> callback;
  {
    const std::lock_guard lock(gone_mutex_);
    if (!gone_) gone_ = why;
    callback = std::exchange(on_gone_, {});
  }
  if (callback) callback(why);
}

void Connection::tick(Time time) {
  if (state_ == State::kClosed) return;
  const HttpLimits& limits = shared_->config.limits;
  if (write_under_way_ && time - write_since_ > limits.write_time) {
    return close();
  }
  if (state_ == State::kHandling && stream_ && !answered_ && !stream_->ping.empty() &&
      time - last_sent_ > limits.ping_time && !write_under_way_)
    send(stream_->ping);
  if (time < deadline_) return;
  if (state_ == State::kHead && input_.size() > 0)
    refuse(408, "the request's head did not arrive in time");
  else if (state_ == State::kBody)
    refuse(408, "the request's body did not arrive in time");
  else
    close();
}

void Connection::stop() {
  if (state_ == State::kIdle || state_ == State::kHead) close();
}

void Connection::shut_down() {
  if (state_ != State::kHandling || answered_) return close();
  gone(HttpGone::kShutdown);
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  when_sent_ = {};
  if (!write_under_way_) end_contact();  // else it is known later how much has left
  gone(HttpGone::kPeer);
  release_body();
  beast::error_code ignored;
  socket_.shutdown(Tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  shared_->connections.erase(shared_from_this());
  const std::lock_guard lock(shared_->mutex);
  shared_->open_count = shared_->connections.size();
}

}  // namespace lathe::serve::http_detail
