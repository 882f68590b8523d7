// Where redirects may lead, and what does not go along.
#include "serve/net/http_follow.h"

#include "serve/net/http_server.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;

TEST(NextHop, LeadsOn) {
  const auto next = next_hop("https://hub/o/r/resolve/1/x", "https://store/x?key=1#part");
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(next->url, "https://store/x?key=1");
  EXPECT_FALSE(next->same_origin);
  const auto beside = next_hop("https://hub/o/r?a=b", "/new/r");
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->url, "https://hub/new/r");
  EXPECT_TRUE(beside->same_origin);
  EXPECT_TRUE(next_hop("https://hub/x", "https://HUB:443/y")->same_origin);
  EXPECT_TRUE(next_hop("http://hub/x", "https://hub/y"));
}

TEST(NextHop, AnotherPortOrSchemeIsAnotherOrigin) {
  EXPECT_FALSE(next_hop("https://hub/x", "https://hub:444/x")->same_origin);
  EXPECT_FALSE(next_hop("http://hub/x", "https://hub/x")->same_origin);
  EXPECT_FALSE(next_hop("https://hub/x", "https://hub.evil/x")->same_origin);
}

TEST(NextHop, RefusesWhatIsNotSensible) {
  for (const char* location : {"", "file:///etc/passwd", "ftp://hub/x", "http://hub/x",
                               "https://me:word@hub/x", "https://[", "javascript:1"}) {
    const auto next = next_hop("https://hub/x?key=secret", location);
    ASSERT_FALSE(next) << location;
    EXPECT_THAT(next.error().message, ::testing::Not(HasSubstr("secret")));
  }
}

// A server that sends on to what its path names, with a status.
class Follow : public ::testing::Test {
 protected:
  std::unique_ptr<HttpServer> serve(std::vector<HttpRequest>& seen, std::string location) {
    HttpServerConfig config;
    config.hosts = {"127.0.0.1"};
    config.handler = [&seen, location](const std::shared_ptr<HttpExchange>& exchange) {
      seen.push_back(exchange->request());
      if (location.empty()) return exchange->reply({200, "there"});
      exchange->reply({302, "", "text/plain", {{"Location", location}}});
    };
    auto server = HttpServer::start(std::move(config));
    return server ? *std::move(server) : nullptr;
  }
  StopFlag stop_;
};

TEST_F(Follow, CredentialsStayAtTheFirstOrigin) {
  std::vector<HttpRequest> at_store, at_hub;
  const auto store = serve(at_store, "");
  const auto hub = serve(at_hub, fmt::format("http://127.0.0.1:{}/file", store->port()));
  std::string got;
  HttpCall call{.url = fmt::format("http://127.0.0.1:{}/x", hub->port()),
                .body = {},
                .headers = {"Range: bytes=3-"}};
  call.on_body = [&](const HttpAnswer& head, std::string_view bytes) {
    EXPECT_EQ(head.status, 200);
    got += bytes;
    return true;
  };
  const auto answer = http_follow(call, {"Authorization: Bearer secret"}, stop_);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(got, "there");
  ASSERT_EQ(at_hub.size(), 1U);
  ASSERT_EQ(at_store.size(), 1U);
  EXPECT_NE(at_hub[0].header("authorization"), nullptr);
  EXPECT_EQ(at_store[0].header("authorization"), nullptr);
  EXPECT_NE(at_store[0].header("range"), nullptr);
}

TEST_F(Follow, EndsWhereItGoesRound) {
  std::vector<HttpRequest> seen;
  const auto server = serve(seen, "/again");
  const auto answer = http_follow(
      {.url = fmt::format("http://127.0.0.1:{}/x", server->port()), .body = {}, .headers = {}}, {},
      stop_);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("more than 5 times"));
  EXPECT_EQ(seen.size(), 6U);
}

TEST_F(Follow, NothingNearerThanAllowed) {
  std::vector<HttpRequest> seen;
  const auto server = serve(seen, "");
  HttpCall call{
      .url = fmt::format("http://127.0.0.1:{}/x", server->port()), .body = {}, .headers = {}};
  call.allowed = Reach::kAny;
  call.nearest = Reach::kLan;
  const auto answer = http_follow(call, {}, stop_);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kDenied);
  EXPECT_TRUE(seen.empty());
}

TEST(HttpHeaders, ALinesEndBeginsNoOtherHeader) {
  for (const std::string& value : {std::string("a\r\nX-Other: b"), std::string("a\nb"),
                                   std::string("a\rb"), std::string("a\0b", 3)}) {
    HttpCall call;
    call.url = "http://127.0.0.1:1/";
    call.headers = {"Mcp-Name: " + value};
    const auto answer = http_call(call, StopFlag());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "the header Mcp-Name holds a line's end");
  }
}

}  // namespace
}  // namespace lathe::serve
