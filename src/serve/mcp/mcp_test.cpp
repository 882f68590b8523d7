// The protocol against its own schemas, over streams and over HTTP.
#include <gmock/gmock.h>
#include <testing/raw_client.h>
#include <testing/requests.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "ground/base/file.h"
#include "ground/base/text.h"
#include "ground/sys/process.h"
#include "serve/mcp/http.h"
#include "serve/mcp/stdio.h"
#include "serve/server/server.h"

namespace lathe::serve {
namespace {

using testing::eventually;
using ::testing::HasSubstr;
using testing::RawClient;

const Json kMeta = {{"io.modelcontextprotocol/protocolVersion", "2026-07-28"},
                    {"io.modelcontextprotocol/clientCapabilities", Json::object()}};

Json tasks_meta() {
  Json meta = kMeta;
  meta["io.modelcontextprotocol/clientCapabilities"] = {
      {"extensions", {{"io.modelcontextprotocol/tasks", Json::object()}}}};
  return meta;
}

Json request(Json id, std::string_view method, Json params = Json::object()) {
  return {
      {"jsonrpc", "2.0"}, {"id", std::move(id)}, {"method", method}, {"params", std::move(params)}};
}

Json modern(Json id, std::string_view method, Json params = Json::object()) {
  params["_meta"] = kMeta;
  return request(std::move(id), method, std::move(params));
}

Json call_of(Json id, std::string_view tool, Json arguments = Json::object()) {
  return modern(std::move(id), "tools/call", {{"name", tool}, {"arguments", std::move(arguments)}});
}

// Calls that wait until they are let go, or stopped.
struct Gate {
  std::atomic<bool> open{false};
  std::atomic<int> inside{0}, stopped{0};
};

std::vector<McpTool> test_tools(Gate& gate) {
  const Json number = {{"type", "object"},
                       {"properties", {{"n", {{"type", "integer"}, {"maximum", 9}}}}},
                       {"required", {"n"}},
                       {"additionalProperties", false}};
  const Json nothing = {{"type", "object"}, {"additionalProperties", false}};
  return {{.name = "double",
           .description = "Twice a number.",
           .input_schema = number,
           .run =
               [](const Json& arguments, McpCall&) {
                 const std::int64_t twice = 2 * json_int(arguments, "n", 0);
                 return McpResult{.text = std::to_string(twice), .structured = {{"twice", twice}}};
               }},
          {.name = "wait",
           .description = "Waits.",
           .input_schema = nothing,
           .run =
               [&gate](const Json&, McpCall& call) {
                 ++gate.inside;
                 call.progress("waiting");
                 call.progress("still");  // too soon after the first: left out
                 while (!gate.open && !call.stop().raised())
                   std::this_thread::sleep_for(Milliseconds(1));
                 if (call.stop().raised()) ++gate.stopped;
                 --gate.inside;
                 return McpResult{.text = "done", .pictures = {"aGk="}};
               }},
          {.name = "begin",
           .description = "Begins a task.",
           .input_schema = nothing,
           .read_only = false,
           .run =
               [](const Json&, McpCall&) {
                 return McpResult{.text = "begun",
                                  .task = McpTask{.id = "t1", .message = "at work"}};
               }},
          {.name = "break",
           .description = "Fails.",
           .input_schema = nothing,
           .run = [](const Json&, McpCall&) {
             return mcp_failure({ErrorKind::kUnavailable, "no \xFF ears"});
           }}};
}

McpTasks test_tasks(std::atomic<int>& cancelled) {
  return {.get = [](const std::string& id) -> Result<McpTask> {
            if (id != "t1" && id != "t2")
              return fail(ErrorKind::kNotFound, "there is no task '{}'", id);
            return McpTask{
                .id = id,
                .state = id == "t2" ? McpTask::State::kCompleted : McpTask::State::kWorking,
                .message = "so far",
                .result = to_json(McpResult{.text = "all passed"})};
          },
          .cancel = [&cancelled](const std::string&) -> Status {
            ++cancelled;
            return {};
          }};
}

class Peer final : public McpPeer {
 public:
  void notify(const Json& message) override {
    const std::scoped_lock lock(mutex_);
    notes_.push_back(message);
  }
  void answer(const Json& message, int status) override {
    const std::scoped_lock lock(mutex_);
    answers_.push_back(message);
    status_ = status;
  }
  std::size_t answers() const {
    const std::scoped_lock lock(mutex_);
    return answers_.size();
  }
  Json the_answer() const {
    eventually([&] { return answers() == 1; });
    const std::scoped_lock lock(mutex_);
    return answers_.empty() ? Json() : answers_.front();
  }
  int status() const { return status_; }
  std::vector<Json> notes() const {
    const std::scoped_lock lock(mutex_);
    return notes_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Json> notes_, answers_;
  int status_ = 0;
};

class Mcp : public ::testing::Test {
 protected:
  Json ask(const Json& message) {
    const auto read = read_rpc(message);
    if (!read) return rpc_error(read.error().id, read.error().error);
    if (!*read) return nullptr;
    peer_ = std::make_shared<Peer>();
    server_->handle(**read, channel_, peer_);
    return (*read)->is_request() ? peer_->the_answer() : Json();
  }
  // The schema's word on a message, or nothing where it is fine.
  static std::string breaks(const std::string& version, const std::string& name,
                            const Json& value) {
    const auto text =
        read_file(fs::path(LATHE_SOURCE_DIR) / "tests/data/mcp" / (version + ".json"));
    EXPECT_TRUE(text);
    Json schema = *parse_json(*text);
    schema["$ref"] = "#/$defs/" + name;
    const auto compiled = JsonSchema::compile(schema);
    if (!compiled) return compiled.error().message;
    const auto faults = compiled->validate(value);
    if (!faults) return faults.error().message;
    return faults->empty() ? "" : faults->front().instance + ": " + faults->front().message;
  }
  static int code(const Json& answer) {
    return static_cast<int>(json_int(json_at(answer, "error"), "code", 0));
  }

  Gate gate_;
  std::atomic<int> cancelled_{0};
  std::shared_ptr<McpServer> server_ = std::make_shared<McpServer>(
      McpIdentity{"lathe", "1", "Ask."}, test_tools(gate_), test_tasks(cancelled_));
  McpChannel channel_{.session = "s"};
  std::shared_ptr<Peer> peer_;
};

TEST_F(Mcp, EveryAnswerOfTheModernEraKeepsToItsSchema) {
  const auto fine = [&](const char* name, const Json& message) {
    const Json answer = ask(message);
    EXPECT_EQ(breaks("2026-07-28", name, answer), "") << answer.dump(1);
    EXPECT_EQ(json_at(answer, "id"), message["id"]);
    return answer;
  };
  const Json found = fine("DiscoverResultResponse", modern("d", "server/discover"));
  EXPECT_EQ(found["result"]["supportedVersions"][0], "2026-07-28");
  EXPECT_EQ(found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "lathe");
  const Json list = fine("ListToolsResultResponse", modern(1, "tools/list"));
  EXPECT_EQ(list["result"]["tools"].size(), 4U);
  EXPECT_EQ(ask(modern(1, "tools/list")), list);
  const Json twice = fine("CallToolResultResponse", call_of(2, "double", {{"n", 4}}));
  EXPECT_EQ(twice["result"]["structuredContent"]["twice"], 8);
  EXPECT_FALSE(twice["result"].contains("isError"));
  const Json broken = fine("CallToolResultResponse", call_of(3, "break"));
  EXPECT_EQ(broken["result"]["isError"], true);
  EXPECT_EQ(broken["result"]["structuredContent"]["outcome"], "error");
  const Json wrong = fine("CallToolResultResponse", call_of(4, "double", {{"n", 10}, {"m", 1}}));
  EXPECT_EQ(wrong["result"]["isError"], true);
  EXPECT_THAT(json_string(wrong["result"]["content"][0], "text"), HasSubstr("/n"));
  gate_.open = true;
  const Json seen = fine("CallToolResultResponse", call_of(5, "wait"));
  EXPECT_EQ(seen["result"]["content"][1]["type"], "image");
}

TEST_F(Mcp, WhatAModernRequestMustSay) {
  EXPECT_EQ(code(ask(request(1, "tools/list"))), -32602);
  EXPECT_EQ(peer_->status(), 400);
  Json other = modern(2, "tools/list");
  other["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "1900-01-01";
  const Json refused = ask(other);
  EXPECT_EQ(breaks("2026-07-28", "UnsupportedProtocolVersionError", refused), "") << refused;
  EXPECT_EQ(refused["error"]["data"]["requested"], "1900-01-01");
  Json mute = modern(3, "tools/list");
  mute["params"]["_meta"].erase("io.modelcontextprotocol/clientCapabilities");
  EXPECT_EQ(code(ask(mute)), -32602);
  EXPECT_EQ(code(ask(modern(4, "prompts/list"))), -32601);
  EXPECT_EQ(peer_->status(), 404);
  const Json nobody = ask(call_of(5, "doubel", {{"n", 1}}));
  EXPECT_EQ(code(nobody), -32602);
  EXPECT_THAT(json_string(nobody["error"], "message"), HasSubstr("did you mean 'double'"));
  for (const char* unasked : {"inputResponses", "requestState"}) {
    Json forged = call_of(6, "double", {{"n", 1}});
    forged["params"][unasked] = "forged";
    EXPECT_EQ(code(ask(forged)), -32602) << unasked;
  }
  EXPECT_EQ(code(ask(modern(7, "tools/list", {{"cursor", "x"}}))), -32602);
  Json odd = call_of(8, "double");
  odd["params"]["arguments"] = {1};
  EXPECT_EQ(code(ask(odd)), -32602);
}

TEST_F(Mcp, ClientsOfOlderRevisionsBeginWithInitialize) {
  EXPECT_EQ(code(ask(request(0, "tools/list"))), -32602);
  const auto opened = [&](const char* asked) {
    return ask(request(1, "initialize",
                       {{"protocolVersion", asked},
                        {"capabilities", Json::object()},
                        {"clientInfo", {{"name", "c"}, {"version", "1"}}}}));
  };
  const Json own = opened("2025-06-18");
  EXPECT_EQ(breaks("2025-11-25", "InitializeResult", own["result"]), "") << own;
  EXPECT_EQ(own["result"]["protocolVersion"], "2025-06-18");
  EXPECT_EQ(opened("2099-01-01")["result"]["protocolVersion"], "2025-11-25");
  EXPECT_EQ(ask({{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}}), Json());
  EXPECT_EQ(ask(request(2, "ping"))["result"], Json::object());
  const Json list = ask(request(3, "tools/list"));
  EXPECT_EQ(breaks("2025-11-25", "ListToolsResult", list["result"]), "");
  EXPECT_FALSE(list["result"].contains("resultType"));
  const Json twice =
      ask(request("a", "tools/call", {{"name", "double"}, {"arguments", {{"n", 3}}}}));
  EXPECT_EQ(breaks("2025-11-25", "CallToolResult", twice["result"]), "");
  EXPECT_EQ(twice["result"]["structuredContent"]["twice"], 6);
  // Both eras on one connection.
  EXPECT_EQ(ask(modern(4, "server/discover"))["result"]["resultType"], "complete");
  EXPECT_EQ(code(ask(request(5, "server/discover"))), -32601);
}

TEST_F(Mcp, MessagesThatAreNone) {
  for (const char* bytes : {"", "{", "[1] ]", "{\"jsonrpc\": NaN}", "{\"a\":1,\"a\":2}"}) {
    const auto read = parse_rpc(bytes);
    ASSERT_FALSE(read) << bytes;
    EXPECT_EQ(read.error().error.code, RpcCode::kParseError) << bytes;
    EXPECT_EQ(breaks("2026-07-28", "JSONRPCErrorResponse",
                     rpc_error(read.error().id, read.error().error)),
              "");
  }
  std::string deep = R"({"jsonrpc":"2.0","id":1,"method":"m","params":{"a":)";
  for (int i = 0; i < 1000; ++i) deep += '[';
  EXPECT_FALSE(parse_rpc(deep));
  const Json good = request(1, "ping");
  const auto with = [&](const char* key, Json value) {
    Json message = good;
    message[key] = std::move(value);
    return message;
  };
  for (const Json& bad : {Json::array({good}), Json(3), with("id", nullptr), with("id", 1.5),
                          with("id", true), with("id", std::string(2000, 'x')),
                          with("jsonrpc", "1.0"), with("method", 7), with("params", Json::array())})
    EXPECT_EQ(code(ask(bad)), -32600) << bad.dump().substr(0, 200);
  // Answers to what was never asked are passed over.
  const auto answer = read_rpc({{"jsonrpc", "2.0"}, {"id", 1}, {"result", Json::object()}});
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->has_value());
}

TEST_F(Mcp, ProgressGoesToWhoAskedForIt) {
  Json call = call_of(1, "wait");
  call["params"]["_meta"]["progressToken"] = "tok";
  gate_.open = true;
  ask(call);
  ASSERT_EQ(peer_->notes().size(), 1U);
  EXPECT_EQ(breaks("2026-07-28", "ProgressNotification", peer_->notes()[0]), "");
  EXPECT_EQ(peer_->notes()[0]["params"]["progressToken"], "tok");
  ask(call_of(2, "wait"));
  EXPECT_TRUE(peer_->notes().empty());
}

TEST_F(Mcp, ACancelledCallStopsAndIsNotAnswered) {
  const auto peer = std::make_shared<Peer>();
  server_->handle(**read_rpc(call_of(7, "wait")), channel_, peer);
  eventually([&] { return gate_.inside == 1; });
  // Its id is taken for as long as it is under way; another session's is another.
  EXPECT_EQ(code(ask(call_of(7, "double", {{"n", 1}}))), -32600);
  McpChannel elsewhere{.session = "t"};
  const auto other = std::make_shared<Peer>();
  server_->handle(**read_rpc(call_of(7, "double", {{"n", 1}})), elsewhere, other);
  EXPECT_EQ(other->the_answer()["result"]["structuredContent"]["twice"], 2);
  server_->cancel("t", 7);
  EXPECT_EQ(gate_.stopped, 0);
  ask({{"jsonrpc", "2.0"}, {"method", "notifications/cancelled"}, {"params", {{"requestId", 7}}}});
  eventually([&] { return gate_.stopped == 1 && gate_.inside == 0; });
  EXPECT_EQ(gate_.stopped, 1);
  server_.reset();  // waits for the thread
  EXPECT_EQ(peer->answers(), 0U);
}

TEST_F(Mcp, SoManyCallsAtOnceAndNoMore) {
  std::vector<std::shared_ptr<Peer>> peers;
  for (std::size_t i = 0; i < McpServer::kMostCalls; ++i) {
    peers.push_back(std::make_shared<Peer>());
    server_->handle(**read_rpc(call_of(i, "wait")), channel_, peers.back());
  }
  const Json refused = ask(call_of(99, "double", {{"n", 1}}));
  EXPECT_EQ(refused["result"]["isError"], true);
  gate_.open = true;
  for (const auto& peer : peers)
    EXPECT_EQ(peer->the_answer()["result"]["content"][0]["text"], "done");
}

TEST_F(Mcp, TheEndOfTheServerStopsItsCalls) {
  const auto peer = std::make_shared<Peer>();
  server_->handle(**read_rpc(call_of(1, "wait")), channel_, peer);
  eventually([&] { return gate_.inside == 1; });
  server_.reset();
  EXPECT_EQ(gate_.stopped, 1);
  EXPECT_EQ(peer->answers(), 0U);
}

TEST_F(Mcp, TasksForClientsThatTakeThem) {
  const auto with_tasks = [](Json message) {
    message["params"]["_meta"] = tasks_meta();
    return message;
  };
  EXPECT_EQ(ask(call_of(1, "begin"))["result"]["resultType"], "complete");
  const Json begun = ask(with_tasks(call_of(2, "begin")))["result"];
  EXPECT_EQ(begun["resultType"], "task");
  EXPECT_EQ(begun["taskId"], "t1");
  EXPECT_EQ(begun["status"], "working");
  const Json refused = ask(modern(3, "tasks/get", {{"taskId", "t1"}}));
  EXPECT_EQ(breaks("2026-07-28", "MissingRequiredClientCapabilityError", refused), "") << refused;
  const auto task = [&](const char* method, const char* id) {
    return ask(with_tasks(modern(4, method, {{"taskId", id}})));
  };
  EXPECT_EQ(task("tasks/get", "t1")["result"]["status"], "working");
  const Json done = task("tasks/get", "t2")["result"];
  EXPECT_EQ(done["resultType"], "complete");
  EXPECT_EQ(done["status"], "completed");
  EXPECT_EQ(breaks("2026-07-28", "CallToolResult", done["result"]), "");
  EXPECT_EQ(code(task("tasks/get", "t3")), -32602);
  EXPECT_EQ(task("tasks/cancel", "t1")["result"]["resultType"], "complete");
  EXPECT_EQ(cancelled_, 1);
  EXPECT_EQ(task("tasks/update", "t1")["result"]["resultType"], "complete");
}

// --- Over streams ---

class Stdio : public Mcp {
 protected:
  void SetUp() override {
    int in[2], out[2];
    ASSERT_EQ(::pipe2(in, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(out, O_CLOEXEC), 0);
    read_in_ = UniqueFd(in[0]);
    write_in_ = UniqueFd(in[1]);
    read_out_ = UniqueFd(out[0]);
    write_out_ = UniqueFd(out[1]);
    thread_ = std::thread(
        [this] { status_ = serve_mcp(*server_, read_in_.get(), write_out_.get(), stop_); });
  }
  void TearDown() override {
    end();
    EXPECT_TRUE(status_);
  }
  void end() {
    write_in_.reset();
    if (thread_.joinable()) thread_.join();
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(write_in_.get(), bytes.data(), bytes.size());
      ASSERT_GT(n, 0);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  Json receive() {
    for (;;) {
      if (const auto end = text_.find('\n'); end != text_.npos) {
        const Json json = *parse_json(text_.substr(0, end));
        text_.erase(0, end + 1);
        return json;
      }
      char bytes[4096];
      const ssize_t n = ::read(read_out_.get(), bytes, sizeof bytes);
      if (n <= 0) return {};
      text_.append(bytes, static_cast<std::size_t>(n));
    }
  }

  UniqueFd read_in_, write_in_, read_out_, write_out_;
  StopFlag stop_;
  std::thread thread_;
  Status status_;
  std::string text_;
};

TEST_F(Stdio, AMessageALine) {
  const std::string ping = dump_json(request(1, "ping"));
  send(ping.substr(0, 5));
  send(ping.substr(5) + "\r\n\n   \n" + dump_json(request("b", "ping")) + "\n");
  EXPECT_EQ(receive()["id"], 1);
  EXPECT_EQ(receive()["id"], "b");
  send("nonsense\n");
  EXPECT_EQ(code(receive()), -32700);
  send(std::string(kMaxRpcBytes + 5, 'x') + "\n" + ping + "\n");
  EXPECT_EQ(code(receive()), -32600);
  EXPECT_EQ(receive()["id"], 1);
  send(dump_json(call_of(2, "double", {{"n", 2}})) + "\n");
  EXPECT_EQ(receive()["result"]["structuredContent"]["twice"], 4);
}

TEST_F(Stdio, TheEndOfInputIsTheEnd) {
  send(dump_json(call_of(1, "wait")) + "\n");
  eventually([&] { return gate_.inside == 1; });
  end();
  server_.reset();
  EXPECT_EQ(gate_.stopped, 1);
}

TEST_F(Stdio, ALineWithoutItsEndIsNoMessage) {
  send(dump_json(call_of(1, "double", {{"n", 2}})));
  end();
  write_out_.reset();
  EXPECT_EQ(receive(), Json()) << "half of it may be missing";
}

// --- Over HTTP ---

class Http : public Mcp {
 protected:
  void SetUp() override {
    auto started = Server::start({.addresses = {"127.0.0.1"}, .port = 0}, {mcp_routes(server_)});
    ASSERT_TRUE(started) << started.error().message;
    http_ = std::move(*started);
  }
  testing::RawReply post(const Json& body, const std::string& headers) {
    RawClient client(http_->port());
    client.post("/mcp", dump_json(body), headers);
    return client.reply();
  }
  static std::string headers_of(const std::string& method, const std::string& name = "",
                                const std::string& version = "2026-07-28") {
    return fmt::format("MCP-Protocol-Version: {}\r\nMcp-Method: {}\r\n{}", version, method,
                       name.empty() ? "" : "Mcp-Name: " + name + "\r\n");
  }

  std::unique_ptr<Server> http_;
};

TEST_F(Http, HeadersSayWhatTheBodySays) {
  const Json call = call_of(1, "double", {{"n", 2}});
  const auto answered = post(call, headers_of("tools/call", "double"));
  EXPECT_EQ(answered.status, 200);
  EXPECT_EQ((*parse_json(answered.body))["result"]["structuredContent"]["twice"], 4);
  EXPECT_EQ(post(call, headers_of("tools/call", "=?base64?ZG91Ymxl?=")).status, 200);
  for (const std::string& headers : {headers_of("tools/call"), headers_of("tools/call", "wait"),
                                     headers_of("tools/list", "double"),
                                     std::string("Mcp-Method: tools/call\r\nMcp-Name: double\r\n"),
                                     headers_of("tools/call", "double", "2025-11-25")}) {
    const auto refused = post(call, headers);
    EXPECT_EQ(refused.status, 400) << headers;
    const Json error = *parse_json(refused.body);
    EXPECT_EQ(code(error), -32020) << headers;
    EXPECT_EQ(breaks("2026-07-28", "HeaderMismatchError", error), "");
  }
  EXPECT_EQ(post(modern(2, "prompts/list"), headers_of("prompts/list")).status, 404);
}

TEST_F(Http, OlderRevisionsToo) {
  const auto opened = post(request(1, "initialize",
                                   {{"protocolVersion", "2025-11-25"},
                                    {"capabilities", Json::object()},
                                    {"clientInfo", {{"name", "c"}, {"version", "1"}}}}),
                           "");
  EXPECT_EQ(opened.status, 200);
  EXPECT_THAT(opened.head, HasSubstr("Mcp-Session-Id: "));
  EXPECT_EQ(post({{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}},
                 "MCP-Protocol-Version: 2025-11-25\r\n")
                .status,
            202);
  for (const char* headers : {"MCP-Protocol-Version: 2025-06-18\r\n", ""})
    EXPECT_EQ((*parse_json(post(request(2, "tools/list"), headers).body))["result"]["tools"].size(),
              4U);
  const auto unknown = post(request(3, "tools/list"), "MCP-Protocol-Version: 1900-01-01\r\n");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(code(*parse_json(unknown.body)), -32022);
  EXPECT_EQ(post(request(4, "tools/list"), "MCP-Protocol-Version: 2026-07-28\r\n").status, 400);
  const auto batch = post(Json::array({request(1, "ping")}), "");
  EXPECT_EQ(batch.status, 400);
  EXPECT_EQ(code(*parse_json(batch.body)), -32600);
}

TEST_F(Http, ClosingTheStreamCancels) {
  Json call = call_of(1, "wait");
  call["params"]["_meta"]["progressToken"] = 5;
  {
    RawClient client(http_->port());
    client.post(
        "/mcp", dump_json(call),
        headers_of("tools/call", "wait") + "Accept: application/json, text/event-stream\r\n");
    eventually([&] { return gate_.inside == 1; });
  }
  eventually([&] { return gate_.stopped == 1; });
  EXPECT_EQ(gate_.stopped, 1);
}

TEST_F(Http, AStreamWhereThereIsSomethingToSayBefore) {
  Json call = call_of(1, "wait");
  call["params"]["_meta"]["progressToken"] = 5;
  gate_.open = true;
  const auto told = post(
      call, headers_of("tools/call", "wait") + "Accept: application/json, text/event-stream\r\n");
  EXPECT_EQ(told.status, 200);
  EXPECT_THAT(told.head, HasSubstr("text/event-stream"));
  EXPECT_THAT(told.body, HasSubstr("notifications/progress"));
  EXPECT_THAT(told.body, HasSubstr("\"id\":1,\"result\""));
}

}  // namespace
}  // namespace lathe::serve
