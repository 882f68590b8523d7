// Answers requests of the protocol, in both of its eras, and runs tools on threads of their own.
#include "serve/mcp/mcp_server.h"

#include "ground/base/clock.h"
#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr const char* kTasksExtension = "io.modelcontextprotocol/tasks";
constexpr Milliseconds kBetweenNotes{500};
constexpr std::int64_t kListsKeepMs = 3'600'000;
constexpr std::int64_t kPollMs = 1000;
constexpr std::size_t kMostFaults = 5;

std::unexpected<RpcError> wrong(RpcCode code, std::string message, int status = 400) {
  return std::unexpected(RpcError{code, std::move(message), {}, status});
}

Json supported_versions() {
  Json versions = Json::array({kMcpVersion});
  for (const std::string_view version : legacy_mcp_versions()) versions.push_back(version);
  return versions;
}

std::string_view state_name(McpTask::State state) {
  return state == McpTask::State::kWorking     ? "working"
         : state == McpTask::State::kCompleted ? "completed"
                                               : "cancelled";
}

Json task_json(const McpTask& task) {
  return {{"taskId", task.id},
          {"status", state_name(task.state)},
          {"statusMessage", task.message},
          {"createdAt", format_utc(task.created_ms)},
          {"lastUpdatedAt", format_utc(task.updated_ms)},
          {"ttlMs", nullptr},
          {"pollIntervalMs", kPollMs}};
}

std::string key_of(const std::string& session, const Json& id) {
  return session + '\n' + dump_json(id);
}

}  // namespace

McpResult mcp_failure(const Error& error) {
  return {.text = "error: " + make_valid_utf8(error.message),
          .structured = {{"outcome", "error"}, {"error", make_valid_utf8(error.message)}},
          .error = true};
}

Json to_json(const McpResult& result) {
  Json content = Json::array({{{"type", "text"}, {"text", result.text}}});
  for (const std::string& picture : result.pictures)
    content.push_back({{"type", "image"}, {"data", picture}, {"mimeType", "image/png"}});
  Json json = {{"content", std::move(content)}};
  if (!result.structured.is_null()) json["structuredContent"] = result.structured;
  if (result.error) json["isError"] = true;
  return json;
}

// A call of a tool, from its beginning to its answer.
class McpServer::Running final : public McpCall {
 public:
  Running(Json id, Json progress_token, std::shared_ptr<McpPeer> peer)
      : id_(std::move(id)), token_(std::move(progress_token)), peer_(std::move(peer)) {}

  StopFlag& stop() override { return stop_; }

  void progress(std::string_view what) override {
    const std::scoped_lock lock(mutex_);
    const Milliseconds now = system_clock().monotonic();
    if (token_.is_null() || !peer_ || (notes_ > 0 && now - told_ < kBetweenNotes)) return;
    told_ = now;
    peer_->notify(rpc_notification("notifications/progress",
                                   {{"progressToken", token_},
                                    {"progress", ++notes_},
                                    {"message", make_valid_utf8(clip_utf8(what, 200))}}));
  }

  void answer(Json result) {
    const std::scoped_lock lock(mutex_);
    if (peer_) peer_->answer(rpc_result(id_, std::move(result)), 200);
    peer_.reset();
  }

  // Nothing is said of it any more.
  void cancel() {
    stop_.raise();
    const std::scoped_lock lock(mutex_);
    peer_.reset();
  }

 private:
  const Json id_, token_;
  StopFlag stop_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<McpPeer> peer_;
  Milliseconds told_{0};
  std::int64_t notes_ = 0;
};

McpServer::McpServer(McpIdentity identity, std::vector<McpTool> tools, McpTasks tasks)
    : identity_(std::move(identity)), tools_(std::move(tools)), tasks_(std::move(tasks)) {
  for (const McpTool& tool : tools_) {
    auto schema = JsonSchema::compile(tool.input_schema);
    LATHE_CHECK(schema);
    schemas_.push_back(*std::move(schema));
  }
}

McpServer::~McpServer() {
  end();
}

void McpServer::end() {
  std::unique_lock lock(mutex_);
  ended_ = true;
  for (const auto& [key, running] : running_) running->cancel();
  fewer_.wait(lock, [&] { return threads_ == 0; });
}

void McpServer::handle(const RpcMessage& message, McpChannel& channel,
                       const std::shared_ptr<McpPeer>& peer) {
  if (!message.is_request()) {
    if (message.method == "notifications/cancelled")
      cancel(channel.session, json_at(message.params, "requestId"));
    return;
  }
  const auto refuse = [&](const RpcError& error) {
    peer->answer(rpc_error(message.id, error), error.status);
  };
  const auto era = era_of(message, channel);
  if (!era) return refuse(era.error());
  if (message.method == "tools/call") {
    if (const auto begun = call_tool(message, *era, channel.session, peer); !begun)
      refuse(begun.error());
    return;
  }
  auto result = answer(message, *era, channel);
  if (!result) return refuse(result.error());
  peer->answer(rpc_result(message.id, finished(*std::move(result), *era)), 200);
}

void McpServer::cancel(const std::string& session, const Json& id) {
  const std::scoped_lock lock(mutex_);
  const auto found = running_.find(key_of(session, id));
  if (found != running_.end()) found->second->cancel();
}

RpcResult<McpServer::Era> McpServer::era_of(const RpcMessage& message,
                                            const McpChannel& channel) const {
  if (message.method == "initialize") return Era{};
  const Json& meta = json_at(message.params, "_meta");
  const Json& version = json_at(meta, kVersionKey);
  if (version.is_null()) {
    if (!channel.legacy.empty() || message.method == "ping") return Era{};
    return wrong(RpcCode::kInvalidParams,
                 fmt::format("params._meta needs \"{}\", like \"{}\"; clients of older revisions "
                             "begin with initialize",
                             kVersionKey, kMcpVersion));
  }
  if (version != kMcpVersion)
    return std::unexpected(RpcError{RpcCode::kUnsupportedVersion,
                                    "Unsupported protocol version",
                                    {{"supported", supported_versions()}, {"requested", version}}});
  const Json& capabilities = json_at(meta, kCapabilitiesKey);
  if (!capabilities.is_object())
    return wrong(RpcCode::kInvalidParams,
                 fmt::format("params._meta needs \"{}\", an object", kCapabilitiesKey));
  return Era{true, json_at(json_at(capabilities, "extensions"), kTasksExtension).is_object()};
}

RpcResult<Json> McpServer::answer(const RpcMessage& message, const Era& era,
                                  McpChannel& channel) const {
  const std::string& method = message.method;
  if (method == "initialize") return initialize(message, channel);
  if (method == "ping") return Json::object();
  if (method == "tools/list") {
    if (message.params.contains("cursor"))
      return wrong(RpcCode::kInvalidParams, "'cursor' is not known: the list has one page", 200);
    Json list = list_tools();
    if (era.modern) list.update({{"ttlMs", kListsKeepMs}, {"cacheScope", "public"}});
    return list;
  }
  if (era.modern && method == "server/discover") return discover();
  if (era.modern &&
      (method == "tasks/get" || method == "tasks/cancel" || method == "tasks/update")) {
    if (era.tasks) return on_task(message);
    const Json needed = {{"extensions", {{kTasksExtension, Json::object()}}}};
    return std::unexpected(RpcError{RpcCode::kMissingCapability,
                                    "Missing required client capability",
                                    {{"requiredCapabilities", needed}}});
  }
  return wrong(RpcCode::kMethodNotFound,
               fmt::format("'{}' is not a method of this server", clip_utf8(method, 100)),
               era.modern ? 404 : 200);
}

RpcResult<Json> McpServer::initialize(const RpcMessage& message, McpChannel& channel) const {
  const std::string asked = json_string(message.params, "protocolVersion");
  channel.legacy =
      is_legacy_mcp_version(asked) ? asked : std::string(legacy_mcp_versions().front());
  return Json{{"protocolVersion", channel.legacy},
              {"capabilities", {{"tools", Json::object()}}},
              {"serverInfo", {{"name", identity_.name}, {"version", identity_.version}}},
              {"instructions", identity_.instructions}};
}

Json McpServer::discover() const {
  return {{"supportedVersions", supported_versions()},
          {"capabilities",
           {{"tools", Json::object()}, {"extensions", {{kTasksExtension, Json::object()}}}}},
          {"instructions", identity_.instructions},
          {"ttlMs", kListsKeepMs},
          {"cacheScope", "public"}};
}

Json McpServer::list_tools() const {
  Json list = Json::array();
  for (const McpTool& tool : tools_)
    list.push_back({{"name", tool.name},
                    {"description", tool.description},
                    {"inputSchema", tool.input_schema},
                    {"annotations", {{"readOnlyHint", tool.read_only}, {"openWorldHint", false}}}});
  return {{"tools", std::move(list)}};
}

RpcResult<Json> McpServer::on_task(const RpcMessage& message) const {
  const std::string id = json_string(message.params, "taskId");
  const auto task = tasks_.get(id);
  if (!task) return wrong(RpcCode::kInvalidParams, task.error().message, 200);
  // Nothing is ever asked of a client: answers to that are passed over.
  if (message.method == "tasks/update") return Json::object();
  if (message.method == "tasks/cancel") {
    if (const Status told = tasks_.cancel(id); !told)
      return wrong(RpcCode::kInvalidParams, told.error().message, 200);
    return Json::object();
  }
  Json json = task_json(*task);
  if (task->state == McpTask::State::kCompleted)
    json["result"] = finished(task->result, {.modern = true});
  return json;
}

RpcResult<void> McpServer::call_tool(const RpcMessage& message, const Era& era,
                                     const std::string& session,
                                     const std::shared_ptr<McpPeer>& peer) {
  const std::string name = json_string(message.params, "name");
  const auto tool = std::ranges::find(tools_, name, &McpTool::name);
  if (tool == tools_.end()) {
    std::vector<std::string> names;
    for (const McpTool& each : tools_) names.push_back(each.name);
    return wrong(RpcCode::kInvalidParams,
                 fmt::format("there is no tool '{}'{}; there are {}", clip_utf8(name, 100),
                             did_you_mean(name, names), join(names, ", ")),
                 200);
  }
  for (const char* unasked : {"inputResponses", "requestState"})
    if (message.params.contains(unasked))
      return wrong(RpcCode::kInvalidParams,
                   fmt::format("'{}' answers what this server never asked", unasked), 200);
  const Json& given = json_at(message.params, "arguments");
  if (!given.is_null() && !given.is_object())
    return wrong(RpcCode::kInvalidParams, "'arguments' must be an object", 200);
  const Json& token = json_at(json_at(message.params, "_meta"), "progressToken");
  const bool usable = token.is_string() || token.is_number_integer();
  const auto running = std::make_shared<Running>(message.id, usable ? token : Json(), peer);
  const std::string key = key_of(session, message.id);
  const std::scoped_lock lock(mutex_);
  if (ended_ || threads_ == kMostCalls) {
    const std::string why =
        ended_ ? "the server ends"
               : fmt::format("{} calls are under way; try again when one of them has ended",
                             kMostCalls);
    running->answer(finished(to_json(mcp_failure({ErrorKind::kUnavailable, why})), era));
    return {};
  }
  if (!running_.emplace(key, running).second)
    return wrong(RpcCode::kInvalidRequest, "'id' is that of a call that is under way");
  ++threads_;
  std::thread([this, &tool = *tool, arguments = given.is_null() ? Json::object() : given, era,
               running, key] {
    run(tool, arguments, era, running);
    const std::scoped_lock ended(mutex_);
    running_.erase(key);
    --threads_;
    fewer_.notify_all();
  }).detach();
  return {};
}

void McpServer::run(const McpTool& tool, const Json& arguments, const Era& era,
                    const std::shared_ptr<Running>& running) const {
  const JsonSchema& schema = schemas_[static_cast<std::size_t>(&tool - tools_.data())];
  const auto faults = schema.validate(arguments);
  McpResult result;
  if (!faults) {
    result = mcp_failure(faults.error());
  } else if (!faults->empty()) {
    std::vector<std::string> words;
    for (const SchemaError& fault : *faults)
      if (words.size() < kMostFaults)
        words.push_back(fmt::format("arguments{}: {}", fault.instance, fault.message));
    result = mcp_failure({ErrorKind::kInvalid, join(words, "; ")});
  } else {
    result = tool.run(arguments, *running);
  }
  if (result.task && era.tasks) {
    Json json = task_json(*result.task);
    json["resultType"] = "task";
    running->answer(finished(std::move(json), era));
  } else {
    running->answer(finished(to_json(result), era));
  }
}

Json McpServer::finished(Json result, const Era& era) const {
  if (!era.modern) return result;
  if (!result.contains("resultType")) result["resultType"] = "complete";
  result["_meta"][kServerInfoKey] = {{"name", identity_.name}, {"version", identity_.version}};
  return result;
}

}  // namespace lathe::serve
