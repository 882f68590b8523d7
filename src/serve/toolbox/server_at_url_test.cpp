// Servers at URLs: how far they may be, what a cloud gets, and what a session is.
#include "serve/toolbox/server_at_url.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "serve/net/http_server.h"

namespace lathe::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const StopFlag kNobodyStops;
constexpr Milliseconds kLong{20'000};
constexpr McpTimes kPatient{.probe = kLong, .begin = kLong};

ToolServer server_of(std::string url, Reach privacy) {
  ToolServer server;
  server.name = "db";
  server.url = std::move(url);
  server.privacy = privacy;
  return server;
}

TEST(ServerAtUrl, IsNoFartherThanItsPrivacy) {
  for (const auto& [url, privacy] : {std::pair("http://192.168.0.1/mcp", Reach::kLocal),
                                     {"http://192.0.2.1/mcp", Reach::kLan},
                                     {"https://example.com/mcp", Reach::kLan}}) {
    const auto wire = connect_server(server_of(url, privacy), {});
    ASSERT_FALSE(wire) << url;
    EXPECT_EQ(wire.error().kind, ErrorKind::kDenied);
    EXPECT_THAT(wire.error().message, HasSubstr("farther away"));
  }
  EXPECT_TRUE(connect_server(server_of("http://127.0.0.1:1/mcp", Reach::kLocal), {}));
  for (const char* url : {"http://me:word@127.0.0.1/mcp", "http://127.0.0.1/mcp?key=secret", "x"})
    EXPECT_FALSE(connect_server(server_of(url, Reach::kAny), {})) << url;
}

TEST(ServerAtUrl, ACloudGetsNothingWithoutAWordOnTheBytes) {
  std::vector<std::string> asked;
  const fs::path log = fs::path(::testing::TempDir()) / "server_at_url.contacts";
  fs::remove(log);
  ContactLog contacts(log);
  UrlTerms terms{.contacts = &contacts};
  terms.consent = [&](const CloudBody& body, const StopFlag&) -> Result<std::string> {
    asked.emplace_back(body.bytes);
    EXPECT_EQ(body.destination, "http://192.0.2.1:9/mcp");
    return fail(ErrorKind::kDenied, "nobody was there");
  };
  auto wire = connect_server(server_of("http://192.0.2.1:9/mcp", Reach::kAny), terms).value();
  const auto client = McpClient::open(std::move(wire), "1", kNobodyStops, kPatient);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().message, "nobody was there");
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_THAT(asked[0], HasSubstr("server/discover"));
  // And where nobody can be asked, nothing either.
  terms.consent = {};
  wire = connect_server(server_of("http://192.0.2.1:9/mcp", Reach::kAny), terms).value();
  EXPECT_FALSE(McpClient::open(std::move(wire), "1", kNobodyStops, kPatient));
  EXPECT_FALSE(fs::exists(log)) << "nothing has left";
}

// A server that answers each POST by what the test says.
class AtUrl : public ::testing::Test {
 protected:
  using Answer = std::function<void(const Json& message, HttpExchange& exchange)>;
  Result<std::unique_ptr<McpClient>> open(Answer answer) {
    HttpServerConfig config;
    config.hosts = {"127.0.0.1"};
    config.handler = [this, answer](const std::shared_ptr<HttpExchange>& exchange) {
      const std::scoped_lock lock(mutex_);
      held_.push_back(exchange);
      answer(parse_json(exchange->request().body).value_or(Json()), *exchange);
    };
    http_ = HttpServer::start(std::move(config)).value();
    auto wire = connect_server(
        server_of(fmt::format("http://127.0.0.1:{}/mcp", http_->port()), Reach::kLocal), {});
    return McpClient::open(*std::move(wire), "1", kNobodyStops, kPatient);
  }
  static std::string begun(const Json& message) {
    return dump_json(rpc_result(
        message["id"], {{"protocolVersion", "2025-06-18"}, {"capabilities", Json::object()}}));
  }
  static std::string event(const Json& message) { return "data: " + dump_json(message) + "\n\n"; }
  std::mutex mutex_;  // guards held_, and what the tests keep
  std::vector<std::shared_ptr<HttpExchange>> held_;
  std::unique_ptr<HttpServer> http_;
};

TEST_F(AtUrl, ASessionThatIsNoneIsRefused) {
  const auto client = open([](const Json& message, HttpExchange& exchange) {
    if (json_string(message, "method") != "initialize") return exchange.reply({400, "no"});
    exchange.reply(
        {200, begun(message), "application/json", {{"Mcp-Session-Id", std::string(1001, 'x')}}});
  });
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().message, HasSubstr("its session id is none"));
}

TEST_F(AtUrl, ASessionIsEndedWithItsClient) {
  std::vector<std::string> ended;
  auto client = open([&](const Json& message, HttpExchange& exchange) {
    const HttpRequest& request = exchange.request();
    if (request.method == "DELETE") {
      ended.push_back(*request.header("mcp-session-id"));
      EXPECT_EQ(*request.header("mcp-protocol-version"), "2025-06-18");
      return exchange.reply({405, "no"});  // which is fine
    }
    const std::string method = json_string(message, "method");
    if (method == "server/discover") return exchange.reply({400, "no"});
    if (!message.contains("id")) return exchange.reply({202, "", ""});
    if (method == "initialize")
      return exchange.reply({200, begun(message), "application/json", {{"Mcp-Session-Id", "s1"}}});
    exchange.reply({200, dump_json(rpc_result(message["id"], {{"tools", Json::array()}})),
                    "application/json"});
  });
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_TRUE(ended.empty());
  client->reset();
  EXPECT_EQ(ended, std::vector<std::string>{"s1"});
}

TEST_F(AtUrl, WhatIsAskedInAStreamIsAnsweredByAMessage) {
  std::vector<std::string> told;
  const auto client = open([&](const Json& message, HttpExchange& exchange) {
    const std::string method = json_string(message, "method");
    told.push_back(method.empty() ? "answer " + dump_json(message["id"]) : method);
    if (method == "initialize") return exchange.reply({200, begun(message), "application/json"});
    if (method == "server/discover") return exchange.reply({405, "no"});
    if (!message.contains("id") || method.empty()) return exchange.reply({202, "", ""});
    exchange.begin({});
    if (method == "tools/call") exchange.send(event(rpc_request("p", "ping", Json::object())));
    const Json tools = {{{"name", "f"}, {"inputSchema", {{"type", "object"}}}}};
    exchange.send(event(rpc_result(
        message["id"], method == "tools/list"
                           ? Json{{"tools", tools}}
                           : Json{{"content", {{{"type", "text"}, {"text", "the answer"}}}}})));
    exchange.end();
  });
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_TRUE((*client)->is_legacy());
  const auto answer = (*client)->call("f", Json::object(), kLong, kNobodyStops);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, "the answer");
  const std::scoped_lock lock(mutex_);
  EXPECT_THAT(std::vector(told.begin(), told.begin() + 6),
              ElementsAre("server/discover", "initialize", "notifications/initialized",
                          "tools/list", "tools/list", "tools/call"));
  EXPECT_THAT(told, ::testing::Contains("answer \"p\""));
}

TEST_F(AtUrl, AStopEndsACall) {
  StopFlag stop;
  const auto client = open([&](const Json& message, HttpExchange& exchange) {
    const std::string method = json_string(message, "method");
    if (method == "server/discover")
      return exchange.reply(
          {200, dump_json(rpc_result(message["id"], {{"supportedVersions", {kMcpVersion}}})),
           "application/json"});
    if (method == "tools/list")
      return exchange.reply({200, dump_json(rpc_result(message["id"], {{"tools", Json::array()}})),
                             "application/json"});
    exchange.begin({});
    stop.raise();  // a call that is not answered
  });
  ASSERT_TRUE(client) << client.error().message;
  const auto answer = (*client)->call("f", Json::object(), kLong, stop);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kCancelled);
}

}  // namespace
}  // namespace lathe::serve
