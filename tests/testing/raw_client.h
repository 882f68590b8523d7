// A client that sends exactly the bytes it is told to: for tests of servers. Every wait ends after
// a minute at most.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace lathe::testing {

struct RawReply {
  int status = 0;  // 0: none came
  std::string head;
  std::string body;  // without its chunks' sizes
  bool whole = false;
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0)
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), input_(std::move(other.input_)) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { close(); }

  bool connected() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void close_sending() { shutdown(fd_, SHUT_WR); }

  // False: the server takes no more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd ready{fd_, POLLOUT, 0};
      if (poll(&ready, 1, kPatience) != 1) return false;
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  void get(std::string_view path, std::string_view headers = "") {
    send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) +
         "\r\n");
  }
  void post(std::string_view path, std::string_view body, std::string_view headers = "") {
    send("POST " + std::string(path) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" + std::string(body));
  }

  // The next reply. What does not come whole is given as far as it came.
  RawReply reply() {
    RawReply reply;
    if (!fill([&] { return input_.find("\r\n\r\n") != std::string::npos; })) return reply;
    const std::size_t end = input_.find("\r\n\r\n") + 4;
    reply.head = input_.substr(0, end);
    input_.erase(0, end);
    reply.status = std::atoi(reply.head.c_str() + 9);
    if (reply.status < 200) return this->reply();
    if (reply.head.find("Transfer-Encoding: chunked") != std::string::npos) {
      read_chunks(reply);
    } else if (const auto at = reply.head.find("Content-Length: "); at != std::string::npos) {
      const auto length = static_cast<std::size_t>(std::atoll(reply.head.c_str() + at + 16));
      reply.whole = fill([&] { return input_.size() >= length; });
      reply.body = input_.substr(0, length);
      input_.erase(0, length);
    } else {
      fill([] { return false; });
      reply.body = std::exchange(input_, {});
      reply.whole = ended_;
    }
    return reply;
  }

  // Reads until `words` stand in what came and was not taken yet.
  bool wait_for(std::string_view words) {
    return fill([&] { return input_.find(words) != std::string::npos; });
  }
  bool wait_for_bytes(std::size_t count) {  // … that many, in all
    return fill([&] { return input_.size() >= count; });
  }
  // Whether the server closes.
  bool ends() {
    fill([] { return false; });
    return ended_;
  }
  const std::string& input() const { return input_; }

 private:
  static constexpr int kPatience = 60'000;

  bool fill(const std::function<bool()>& enough) {
    while (!enough()) {
      pollfd ready{fd_, POLLIN, 0};
      if (fd_ < 0 || ended_ || poll(&ready, 1, kPatience) != 1) return false;
      char bytes[65536];
      const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0)
        ended_ = true;
      else
        input_.append(bytes, static_cast<std::size_t>(got));
    }
    return true;
  }

  void read_chunks(RawReply& reply) {
    for (;;) {
      if (!fill([&] { return input_.find("\r\n") != std::string::npos; })) return;
      std::size_t size = 0;
      const std::size_t line = input_.find("\r\n");
      std::from_chars(input_.data(), input_.data() + line, size, 16);
      if (!fill([&] { return input_.size() >= line + 2 + size + 2; })) {
        reply.body += input_.substr(line + 2);
        return;
      }
      reply.body += input_.substr(line + 2, size);
      input_.erase(0, line + 2 + size + 2);
      if (size > 0) continue;
      reply.whole = true;
      return;
    }
  }

  int fd_ = -1;
  std::string input_;
  bool ended_ = false;
};

// Whether it comes true within a minute.
inline bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace lathe::testing
