// What both sides of the Model Context Protocol know: its revisions, and one message of
// JSON-RPC 2.0 as it has it, without batches and without null for an id. Pure.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ground/base/json.h"

namespace lathe::serve {

// What the protocol calls what went wrong.
enum class RpcCode {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kHeaderMismatch = -32020,
  kMissingCapability = -32021,
  kUnsupportedVersion = -32022,
};

struct RpcError {
  RpcCode code = RpcCode::kInvalidRequest;
  std::string message = {};
  Json data = {};    // null: none
  int status = 400;  // of HTTP
};
template <class T>
using RpcResult = std::expected<T, RpcError>;

struct RpcMessage {
  Json id;  // a string or a whole number; null: a notification, which is not answered
  std::string method = {};
  Json params = Json::object();

  bool is_request() const { return !id.is_null(); }
};

// The protocol's revisions: the newest, and those that begin with `initialize`, the newest first.
inline constexpr std::string_view kMcpVersion = "2026-07-28";
std::span<const std::string_view> legacy_mcp_versions();
bool is_legacy_mcp_version(std::string_view version);

// Members of "_meta", by which revision 2026-07-28 says who speaks how.
inline constexpr const char* kVersionKey = "io.modelcontextprotocol/protocolVersion";
inline constexpr const char* kCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
inline constexpr const char* kClientInfoKey = "io.modelcontextprotocol/clientInfo";
inline constexpr const char* kServerInfoKey = "io.modelcontextprotocol/serverInfo";

inline constexpr std::size_t kMaxRpcBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxRpcIdBytes = 1000;

struct RpcRefusal {
  Json id;  // null: it could not be read
  RpcError error;
};
// nullopt: an answer, which nobody here asked for.
std::expected<std::optional<RpcMessage>, RpcRefusal> parse_rpc(std::string_view bytes);
std::expected<std::optional<RpcMessage>, RpcRefusal> read_rpc(Json message);

// An answer to what was asked: its result, or what went wrong.
struct RpcAnswer {
  Json id;
  RpcResult<Json> result;
};
// nullopt: it is none, but asks or tells.
std::expected<std::optional<RpcAnswer>, RpcRefusal> read_rpc_answer(const Json& message);

Json rpc_request(const Json& id, std::string_view method, Json params);
Json rpc_result(const Json& id, Json result);
Json rpc_error(const Json& id, const RpcError& error);
Json rpc_notification(std::string_view method, Json params);

}  // namespace lathe::serve
