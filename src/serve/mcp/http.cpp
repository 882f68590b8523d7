// A message a request; its answer is JSON, or a stream where there is something to say before.
#include "serve/mcp/http.h"

#include "ground/base/base64.h"
#include "ground/base/text.h"
#include "serve/server/names.h"

namespace lathe::serve {
namespace {

constexpr const char* kVersionHeader = "mcp-protocol-version";
constexpr const char* kSessionHeader = "mcp-session-id";
constexpr std::size_t kMaxSessionBytes = 200;

std::string event(const Json& message) {
  return "event: message\ndata: " + dump_json(message) + "\n\n";
}

class Exchange final : public McpPeer {
 public:
  Exchange(std::shared_ptr<HttpExchange> exchange, HttpHeaders headers)
      : exchange_(std::move(exchange)), headers_(std::move(headers)) {
    const std::string* accept = exchange_->request().header("accept");
    streams_ = accept && accept->find("text/event-stream") != accept->npos;
    if (streams_)
      exchange_->begin({.headers = {{"X-Accel-Buffering", "no"}, {"Cache-Control", "no-cache"}},
                        .ping = ": still at work\n\n"});
  }

  void notify(const Json& message) override {
    if (streams_) exchange_->send(event(message));
  }
  void answer(const Json& message, int status) override {
    exchange_->finish({status, dump_json(message), "application/json", headers_}, event(message));
  }

 private:
  const std::shared_ptr<HttpExchange> exchange_;
  const HttpHeaders headers_;
  bool streams_ = false;
};

// Names that a header cannot hold come as base64.
std::string plain_header(std::string_view value) {
  constexpr std::string_view kStart = "=?base64?", kEnd = "?=";
  if (!value.starts_with(kStart) || !value.ends_with(kEnd) ||
      value.size() < kStart.size() + kEnd.size())
    return std::string(value);
  value.remove_prefix(kStart.size());
  value.remove_suffix(kEnd.size());
  auto plain = decode_base64(value, kMaxRpcIdBytes);
  return plain ? *std::move(plain) : std::string();
}

// What is said twice must be the same.
RpcResult<void> check_headers(const HttpRequest& request, const RpcMessage& message) {
  const auto same = [&](const char* name, const std::string& body) -> RpcResult<void> {
    const std::string* header = request.header(to_lower_ascii(name));
    if (header && plain_header(*header) == body) return {};
    return std::unexpected(
        RpcError{RpcCode::kHeaderMismatch,
                 header ? fmt::format("{} is '{}', but the body says '{}'", name,
                                      clip_utf8(*header, 100), clip_utf8(body, 100))
                        : fmt::format("the header {} is missing; it says what the body says: '{}'",
                                      name, clip_utf8(body, 100))});
  };
  const std::string version =
      json_string(json_at(message.params, "_meta"), "io.modelcontextprotocol/protocolVersion");
  LATHE_TRY_STATUS(same("MCP-Protocol-Version", version));
  LATHE_TRY_STATUS(same("Mcp-Method", message.method));
  if (message.method == "tools/call")
    LATHE_TRY_STATUS(same("Mcp-Name", json_string(message.params, "name")));
  return {};
}

// In which revision a message is that does not say it itself.
RpcResult<std::string> legacy_version(const HttpRequest& request) {
  const std::string* version = request.header(kVersionHeader);
  if (!version) return std::string("2025-03-26");  // whose clients do not say
  if (is_legacy_mcp_version(*version)) return *version;
  if (*version == kMcpVersion) return std::string();
  return std::unexpected(RpcError{RpcCode::kUnsupportedVersion,
                                  "Unsupported protocol version",
                                  {{"supported", Json::array({kMcpVersion})},
                                   {"requested", make_valid_utf8(clip_utf8(*version, 100))}}});
}

HttpReply rpc_reply(const Json& id, const RpcError& error) {
  return {error.status, dump_json(rpc_error(id, error))};
}

Handled answer(const std::shared_ptr<McpServer>& server, Call& call) {
  if (!call.owner)
    return std::unexpected(
        ApiError{403, "tools read files and run programs: they want the owner's key"});
  const HttpRequest& request = call.exchange->request();
  auto read = parse_rpc(request.body);
  if (!read) return rpc_reply(read.error().id, read.error().error);
  if (!*read) return HttpReply{202, "", ""};
  const RpcMessage& message = **read;
  const std::string* session = request.header(kSessionHeader);
  McpChannel channel{.session = session && session->size() <= kMaxSessionBytes ? *session
                                                                               : fresh_id("mcp_")};
  const bool says_version =
      json_at(message.params, "_meta").contains("io.modelcontextprotocol/protocolVersion");
  if (says_version && message.is_request()) {
    if (const auto same = check_headers(request, message); !same)
      return rpc_reply(message.id, same.error());
  } else if (message.method != "initialize") {
    auto version = legacy_version(request);
    if (!version) return rpc_reply(message.id, version.error());
    channel.legacy = *std::move(version);
  }
  if (!message.is_request()) {
    server->handle(message, channel, nullptr);
    return HttpReply{202, "", ""};
  }
  HttpHeaders headers;
  if (message.method == "initialize") headers.push_back({"Mcp-Session-Id", channel.session});
  const auto peer = std::make_shared<Exchange>(call.exchange, std::move(headers));
  server->handle(message, channel, peer);
  call.exchange->on_gone([server, session = channel.session, id = message.id](HttpGone) {
    server->cancel(session, id);
  });
  return std::nullopt;
}

}  // namespace

RouteTable mcp_routes(std::shared_ptr<McpServer> server) {
  RouteTable table;
  table.rows.push_back(
      {.method = "POST",
       .path = "/mcp",
       .handler = [server = std::move(server)](Call& call) { return answer(server, call); },
       .raw = true});
  return table;
}

}  // namespace lathe::serve
