// Reads and writes messages of JSON-RPC.
#include "serve/rpc/message.h"

#include <algorithm>
#include <array>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::array<std::string_view, 3> kLegacyVersions{"2025-11-25", "2025-06-18", "2025-03-26"};

bool is_id(const Json& id) {
  if (id.is_string()) return id.get_ref<const std::string&>().size() <= kMaxRpcIdBytes;
  return id.is_number_integer();
}

}  // namespace

std::span<const std::string_view> legacy_mcp_versions() {
  return kLegacyVersions;
}

bool is_legacy_mcp_version(std::string_view version) {
  return std::ranges::find(kLegacyVersions, version) != kLegacyVersions.end();
}

std::expected<std::optional<RpcMessage>, RpcRefusal> parse_rpc(std::string_view bytes) {
  auto json = parse_json(bytes, {.max_bytes = kMaxRpcBytes});
  if (!json)
    return std::unexpected(
        RpcRefusal{{}, {RpcCode::kParseError, "this is not JSON: " + json.error().message}});
  return read_rpc(*std::move(json));
}

std::expected<std::optional<RpcMessage>, RpcRefusal> read_rpc(Json json) {
  const auto refuse = [](Json id, std::string why) {
    return std::unexpected(RpcRefusal{std::move(id), {RpcCode::kInvalidRequest, std::move(why)}});
  };
  if (json.is_array()) return refuse({}, "batches are not taken: send each message by itself");
  if (!json.is_object()) return refuse({}, "a message must be an object");
  const bool has_id = json.contains("id");
  const Json id = json_at(json, "id");
  if (has_id && !is_id(id))
    return refuse({}, fmt::format("'id' must be a whole number, or a string of at most {} bytes",
                                  kMaxRpcIdBytes));
  if (json_string(json, "jsonrpc") != "2.0") return refuse(id, "'jsonrpc' must be \"2.0\"");
  if (!json.contains("method") && (json.contains("result") || json.contains("error")))
    return std::nullopt;
  if (!json_at(json, "method").is_string()) return refuse(id, "'method' must be a string");
  RpcMessage message;
  message.id = id;
  message.method = json_string(json, "method");
  if (json.contains("params")) message.params = json["params"];
  if (!message.params.is_object()) return refuse(id, "'params' must be an object");
  return message;
}

std::expected<std::optional<RpcAnswer>, RpcRefusal> read_rpc_answer(const Json& message) {
  const auto refuse = [&](std::string why) {
    return std::unexpected(RpcRefusal{{}, {RpcCode::kInvalidRequest, std::move(why)}});
  };
  if (!message.is_object()) return refuse("a message must be an object");
  if (message.contains("method")) return std::nullopt;
  if (json_string(message, "jsonrpc") != "2.0") return refuse("'jsonrpc' must be \"2.0\"");
  const Json& error = json_at(message, "error");
  if (message.contains("result") == !error.is_null())
    return refuse("an answer has either a 'result' or an 'error'");
  RpcAnswer answer{json_at(message, "id"), Json()};
  if (error.is_null()) {
    answer.result = message["result"];
    return answer;
  }
  if (!json_at(error, "code").is_number_integer()) return refuse("its 'error' has no 'code'");
  answer.result = std::unexpected(RpcError{static_cast<RpcCode>(json_int(error, "code", 0)),
                                           json_string(error, "message"), json_at(error, "data")});
  return answer;
}

Json rpc_request(const Json& id, std::string_view method, Json params) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
}

Json rpc_result(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json rpc_error(const Json& id, const RpcError& error) {
  Json json = {{"jsonrpc", "2.0"}};
  if (!id.is_null()) json["id"] = id;
  json["error"] = {{"code", static_cast<int>(error.code)}, {"message", error.message}};
  if (!error.data.is_null()) json["error"]["data"] = error.data;
  return json;
}

Json rpc_notification(std::string_view method, Json params) {
  return {{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}};
}

}  // namespace lathe::serve
