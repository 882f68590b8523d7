// One message of JSON-RPC 2.0, as the Model Context Protocol has it: no batches, no null for an id.
// Pure.
#pragma once

#include <expected>
#include <optional>
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

inline constexpr std::size_t kMaxRpcBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxRpcIdBytes = 1000;

struct RpcRefusal {
  Json id;  // null: it could not be read
  RpcError error;
};
// nullopt: an answer, which nobody here asked for.
std::expected<std::optional<RpcMessage>, RpcRefusal> parse_rpc(std::string_view bytes);
std::expected<std::optional<RpcMessage>, RpcRefusal> read_rpc(Json message);

Json rpc_result(const Json& id, Json result);
Json rpc_error(const Json& id, const RpcError& error);
Json rpc_notification(std::string_view method, Json params);

}  // namespace lathe::serve
