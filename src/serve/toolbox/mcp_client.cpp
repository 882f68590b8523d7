// Asks a server for its tools and calls them.
#include "serve/toolbox/mcp_client.h"

#include <algorithm>

#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kSayLimit{30'000}, kLookEvery{100};
constexpr std::size_t kMostTools = 500, kMostPages = 50, kMaxDefinitions = 1 << 20;

Milliseconds now() {
  return system_clock().monotonic();
}

std::string quoted(std::string_view foreign, std::size_t bytes) {
  return "'" + escaped_text(clip_utf8(make_valid_utf8(foreign), bytes)) + "'";
}

// A discovery's answer of a server that speaks the newest revision.
bool is_newest(const Json& discovered) {
  const Json& versions = json_at(discovered, "supportedVersions");
  return std::ranges::find(versions, Json(kMcpVersion)) != versions.end();
}

std::string words_of(const RpcError& error) {
  return fmt::format("{} ({})", quoted(error.message, 400), static_cast<int>(error.code));
}

// What a call said, in words: a picture or a sound is named and not shown.
std::string text_of(const Json& content) {
  std::vector<std::string> parts;
  for (const Json& part : content) {
    const std::string type = json_string(part, "type");
    const Json& resource = json_at(part, "resource");
    if (type == "text")
      parts.push_back(json_string(part, "text"));
    else if (type == "resource" && json_at(resource, "text").is_string())
      parts.push_back(json_string(resource, "text"));
    else if (type == "resource_link")
      parts.push_back(fmt::format("(a link: {})", json_string(part, "uri")));
    else
      parts.push_back(fmt::format("(not text, and not shown: {}, {})", type,
                                  json_string(part, "mimeType", "of no named kind")));
  }
  return join(parts, "\n");
}

Result<ToolAnswer> answer_of(const Json& result) {
  const std::string kind = json_string(result, "resultType", "complete");
  if (kind != "complete")
    return ToolAnswer{
        fmt::format("it did not answer, but wants something of us first ({}), which nobody here "
                    "gives",
                    quoted(kind, 40)),
        false};
  const Json& content = json_at(result, "content");
  const Json& structured = json_at(result, "structuredContent");
  if (!content.is_array() && structured.is_null())
    return fail(ErrorKind::kUnavailable, "it answered a call without 'content'");
  ToolAnswer answer{text_of(content), !json_bool(result, "isError", false)};
  if (answer.text.empty() && !structured.is_null()) answer.text = dump_json(structured);
  return answer;
}

}  // namespace

Result<std::unique_ptr<McpClient>> McpClient::open(std::unique_ptr<Wire> wire, std::string version,
                                                   const StopFlag& stop, const McpTimes& times) {
  std::unique_ptr<McpClient> client(new McpClient(std::move(wire), std::move(version), times));
  LATHE_TRY_STATUS(client->agree(stop));
  LATHE_TRY(client->tools_, client->list(stop));
  client->list_changed_ = false;  // until now nobody has relied on it
  return client;
}

// Discovery first. Who answers it with what it knows nothing of, or not at all, is of before; who
// was only slow has answered it by the time that it refuses to begin in the old way.
Status McpClient::agree(const StopFlag& stop) {
  const auto found = ask("server/discover", Json::object(), times_.probe, stop);
  if (found) return *found && is_newest(**found) ? Status() : initialize(stop);
  if (found.error().kind != ErrorKind::kTimeout) return std::unexpected(found.error());
  broken_.reset();
  probe_ = next_id_ - 1;
  const Status begun = initialize(stop);
  if (begun || !is_newest(late_)) return begun;
  broken_.reset();
  legacy_ = false;
  return {};
}

Status McpClient::initialize(const StopFlag& stop) {
  legacy_ = true;
  const Json asked = {{"protocolVersion", legacy_mcp_versions().front()},
                      {"capabilities", Json::object()},
                      {"clientInfo", {{"name", "lathe"}, {"version", version_}}}};
  LATHE_TRY(const auto begun, ask("initialize", asked, times_.begin, stop));
  if (!begun)
    return broken({ErrorKind::kUnavailable, "it refused to begin: " + words_of(begun.error())});
  const std::string agreed = json_string(*begun, "protocolVersion");
  if (!is_legacy_mcp_version(agreed))
    return broken({ErrorKind::kUnavailable,
                   fmt::format("it speaks revision {}, which is none of {} and those before it",
                               quoted(agreed, 40), kMcpVersion)});
  return tell(rpc_notification("notifications/initialized", Json::object()), stop);
}

Result<std::vector<ToolDefinition>> McpClient::list(const StopFlag& stop) {
  std::vector<ToolDefinition> tools;
  std::string cursor;
  for (std::size_t page = 0; page < kMostPages; ++page) {
    Json params = Json::object();
    if (!cursor.empty()) params["cursor"] = cursor;
    LATHE_TRY(const auto answer, ask("tools/list", std::move(params), times_.begin, stop));
    if (!answer)
      return broken(
          {ErrorKind::kUnavailable, "it does not list its tools: " + words_of(answer.error())});
    const Json& listed = json_at(*answer, "tools");
    if (!listed.is_array()) return broken({ErrorKind::kUnavailable, "its list of tools is none"});
    for (const Json& each : listed) {
      auto tool = read_definition(each);
      if (!tool) return broken({ErrorKind::kUnavailable, tool.error().message});
      if (std::ranges::find(tools, tool->name, &ToolDefinition::name) != tools.end())
        return broken({ErrorKind::kUnavailable,
                       fmt::format("it lists the tool {} twice", quoted(tool->name, 60))});
      tools.push_back(*std::move(tool));
    }
    if (tools.size() > kMostTools || definitions_text(tools).size() > kMaxDefinitions) break;
    cursor = json_string(*answer, "nextCursor");
    if (cursor.empty()) return tools;
  }
  return broken(
      {ErrorKind::kUnavailable, fmt::format("its list of tools is longer than {} tools and {}",
                                            kMostTools, format_bytes(kMaxDefinitions))});
}

Status McpClient::check_unchanged(const StopFlag& stop) {
  while (list_changed_) {
    list_changed_ = false;
    LATHE_TRY(const auto tools, list(stop));
    const auto differences = definitions_diff(tools_, tools);
    if (!differences.empty())
      return broken({ErrorKind::kUnavailable,
                     "its tools are others than they were:\n  " + join(differences, "\n  "),
                     std::string(kToolsChanged)});
  }
  return {};
}

Result<ToolAnswer> McpClient::call(const std::string& tool, const Json& arguments,
                                   Milliseconds limit, const StopFlag& stop) {
  LATHE_TRY_STATUS(take_notes(stop));
  list_changed_ |= !wire_->tells_changes();
  LATHE_TRY_STATUS(check_unchanged(stop));
  LATHE_TRY(const auto answered,
            ask("tools/call", {{"name", tool}, {"arguments", arguments}}, limit, stop));
  LATHE_TRY_STATUS(check_unchanged(stop));
  if (!answered) return ToolAnswer{words_of(answered.error()), false};
  auto answer = answer_of(*answered);
  return answer ? answer : broken(answer.error());
}

Status McpClient::take_notes(const StopFlag& stop) {
  if (broken_) return std::unexpected(*broken_);
  for (;;) {
    auto line = wire_->hear(Milliseconds(0), stop);
    if (!line) return broken(line.error());
    if (!*line) return {};
    LATHE_TRY_STATUS(take(**line, Json(), stop));
  }
}

Result<RpcResult<Json>> McpClient::ask(std::string_view method, Json params, Milliseconds limit,
                                       const StopFlag& stop) {
  if (broken_) return std::unexpected(*broken_);
  if (!legacy_)
    params["_meta"] = {{kVersionKey, kMcpVersion},
                       {kCapabilitiesKey, Json::object()},
                       {kClientInfoKey, {{"name", "lathe"}, {"version", version_}}}};
  const Json id = next_id_++;
  LATHE_TRY_STATUS(tell(rpc_request(id, method, std::move(params)), stop));
  const Milliseconds until = now() + limit;
  while (now() < until) {
    auto line = wire_->hear(std::min(kLookEvery, until - now()), stop);
    if (!line) return broken(line.error());
    if (!*line) continue;
    LATHE_TRY(auto answer, take(**line, id, stop));
    if (answer) return *std::move(answer);
  }
  return broken({ErrorKind::kTimeout,
                 fmt::format("it did not answer '{}' within {}", method, format_duration(limit))});
}

Status McpClient::tell(const Json& message, const StopFlag& stop) {
  if (auto said = wire_->say(dump_json(message), kSayLimit, stop); !said)
    return broken(said.error());
  return {};
}

Result<std::optional<RpcResult<Json>>> McpClient::take(const std::string& line, const Json& waited,
                                                       const StopFlag& stop) {
  const std::optional<RpcResult<Json>> nothing;
  if (trim(line).empty()) return nothing;
  const auto json = parse_json(line, {.max_bytes = kMaxRpcBytes});
  if (!json)
    return broken({ErrorKind::kUnavailable,
                   fmt::format("it wrote what is no message on its standard output: {}; logs "
                               "belong on standard error",
                               quoted(line, 200))});
  const auto answer = read_rpc_answer(*json);
  if (!answer)
    return broken(
        {ErrorKind::kUnavailable, "its message is none: " + answer.error().error.message});
  if (*answer) {
    const Json& id = (*answer)->id;
    if (!waited.is_null() && id == waited) return std::optional((*answer)->result);
    if (!probe_.is_null() && id == probe_) {
      late_ = (*answer)->result.value_or(Json());
      probe_ = nullptr;
      return nothing;
    }
    return broken({ErrorKind::kUnavailable,
                   fmt::format("it answered {}, which nobody asked", quoted(dump_json(id), 60))});
  }
  const auto message = read_rpc(*json);
  if (!message || !*message)
    return broken({ErrorKind::kUnavailable,
                   "its message is none: " + (message ? "" : message.error().error.message)});
  const RpcMessage& said = **message;
  if (said.is_request()) {
    // The one question that the older revisions let every side ask.
    if (!legacy_ || said.method != "ping")
      return broken(
          {ErrorKind::kUnavailable,
           fmt::format("it asked {} of us, which no one here answers", quoted(said.method, 60))});
    LATHE_TRY_STATUS(tell(rpc_result(said.id, Json::object()), stop));
  }
  list_changed_ |= said.method == "notifications/tools/list_changed";
  return nothing;
}

std::unexpected<Error> McpClient::broken(Error why) {
  broken_ = why;
  return std::unexpected(std::move(why));
}

}  // namespace lathe::serve
