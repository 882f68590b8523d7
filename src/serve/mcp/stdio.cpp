// Messages by lines, in and out.
#include "serve/mcp/stdio.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr int kLookEveryMs = 100;

// All answers leave by one stream; a client that has gone gets none.
class Writer final : public McpPeer {
 public:
  explicit Writer(int out) : out_(out) {}

  void notify(const Json& message) override { write(message); }
  void answer(const Json& message, int) override { write(message); }

 private:
  void write(const Json& message) {
    const std::string line = dump_json(message) + "\n";
    const std::scoped_lock lock(mutex_);
    for (std::size_t done = 0; done < line.size();) {
      const ssize_t n = ::write(out_, line.data() + done, line.size() - done);
      if (n < 0 && errno != EINTR) return;
      if (n > 0) done += static_cast<std::size_t>(n);
    }
  }

  const int out_;
  std::mutex mutex_;
};

// Bytes to lines; of a line that is too long only that it was there.
class Lines {
 public:
  // `on_line`: nullopt for one that is too long.
  void feed(std::string_view bytes,
            const std::function<void(std::optional<std::string_view>)>& on_line) {
    for (;;) {
      const auto end = bytes.find('\n');
      const std::string_view part = bytes.substr(0, end);
      too_long_ = too_long_ || line_.size() + part.size() > kMaxRpcBytes;
      if (too_long_)
        line_.clear();
      else
        line_ += part;
      if (end == bytes.npos) return;
      bytes.remove_prefix(end + 1);
      on_line(too_long_ ? std::nullopt : std::optional<std::string_view>(trim(line_)));
      line_.clear();
      too_long_ = false;
    }
  }

 private:
  std::string line_;
  bool too_long_ = false;
};

}  // namespace

Status serve_mcp(McpServer& server, int in, int out, const StopFlag& stop) {
  const auto peer = std::make_shared<Writer>(out);
  McpChannel channel;
  const auto on_line = [&](std::optional<std::string_view> line) {
    if (line && line->empty()) return;
    const auto message = line ? parse_rpc(*line)
                              : std::unexpected(RpcRefusal{
                                    {},
                                    {RpcCode::kInvalidRequest,
                                     fmt::format("a message has at most {} bytes", kMaxRpcBytes)}});
    if (!message)
      peer->answer(rpc_error(message.error().id, message.error().error), 400);
    else if (*message)
      server.handle(**message, channel, peer);
  };
  Lines lines;
  std::string bytes(64 << 10, '\0');
  while (!stop.raised()) {
    pollfd ready{in, POLLIN, 0};
    if (::poll(&ready, 1, kLookEveryMs) <= 0) continue;
    const ssize_t n = ::read(in, bytes.data(), bytes.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail(ErrorKind::kUnavailable, "standard input cannot be read");
    if (n == 0) break;
    lines.feed(std::string_view(bytes).substr(0, static_cast<std::size_t>(n)), on_line);
  }
  return {};
}

}  // namespace lathe::serve
