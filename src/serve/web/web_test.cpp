// The page's routes, headers and sessions, as a browser and as other clients meet them.
#include <gmock/gmock.h>
#include <testing/raw_client.h>

#include "ground/base/json.h"
#include "ground/base/text.h"
#include "serve/server/server.h"
#include "serve/web/assets.h"
#include "serve/web/web_routes.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawClient;
using testing::RawReply;

constexpr std::string_view kBrowser =
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

class WebTest : public ::testing::Test {
 protected:
  // A server with the page and, for whoever is no browser, Ollama's line.
  void start(std::vector<std::string> keys = {}) {
    if (web_index().empty()) GTEST_SKIP() << "built without the page";
    RouteTable others;
    others.rows.push_back({"GET", "/", [](Call&) {
                             return HttpReply{200, "Ollama is running", "text/plain"};
                           }});
    others.rows.push_back({"GET", "/status", [](Call&) { return HttpReply{}; }});
    others.rows.push_back({"POST", "/change",
                           [this](Call&) {
                             ++changes;
                             return HttpReply{};
                           },
                           true});
    others.rows.push_back({"POST", "/chat", [](Call&) { return HttpReply{}; }});
    std::vector<RouteTable> tables = web_routes(sessions);
    tables.push_back(std::move(others));
    ServerConfig config;
    config.port = 0;
    config.api_keys = std::move(keys);
    config.sessions = sessions;
    auto started = Server::start(std::move(config), std::move(tables));
    ASSERT_TRUE(started) << started.error().message;
    server = *std::move(started);
  }

  RawReply ask(std::string_view method, std::string_view path, std::string_view headers = "",
               std::string_view body = "") {
    RawClient client(server->port());
    client.send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
                            method, path, body.size(), headers, body));
    return client.reply();
  }
  int status(std::string_view method, std::string_view path, std::string_view headers = "",
             std::string_view body = "") {
    return ask(method, path, headers, body).status;
  }

  // "lathe_session=…" of a new session.
  std::string new_cookie() {
    const RawReply reply =
        ask("POST", "/v1/session", "Authorization: Bearer secret\r\nX-Lathe: 1\r\n", "{}");
    EXPECT_EQ(reply.status, 200) << reply.body;
    const auto at = reply.head.find("lathe_session=");
    if (at == std::string::npos) return "";
    EXPECT_THAT(reply.head, HasSubstr("HttpOnly; SameSite=Strict; Max-Age=43200"));
    return "Cookie: other=1; " + reply.head.substr(at, reply.head.find(';', at) - at) + "\r\n";
  }

  std::shared_ptr<Sessions> sessions = std::make_shared<Sessions>();
  std::unique_ptr<Server> server;
  int changes = 0;
};

TEST_F(WebTest, BrowsersGetThePageAndOthersOllamasLine) {
  start();
  if (IsSkipped()) return;
  const RawReply page = ask("GET", "/", kBrowser);
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("<!doctype html>"));
  EXPECT_THAT(page.body, Not(HasSubstr("@HASH@")));
  EXPECT_THAT(page.head, HasSubstr("Cache-Control: no-store"));
  for (const char* accept :
       {"", "Accept: */*\r\n", "Accept: application/json\r\n", "Accept: text/htmlx, text/*\r\n"})
    EXPECT_EQ(ask("GET", "/", accept).body, "Ollama is running") << accept;
  EXPECT_THAT(ask("GET", "/", "Accept: application/json, Text/HTML;q=0.1\r\n").body,
              HasSubstr("<!doctype html>"));
  EXPECT_EQ(ask("GET", "/", "Accept: " + std::string(4096, ',') + "\r\n").body,
            "Ollama is running");
}

TEST_F(WebTest, FilesOfThePageNeverChange) {
  start();
  if (IsSkipped()) return;
  const std::string page = ask("GET", "/", kBrowser).body;
  for (const Asset& asset : web_assets()) {
    const std::string path = fmt::format("/web/{}/{}", web_hash(), asset.name);
    EXPECT_TRUE(asset.name == "LICENSES.txt" || page.find(path) != page.npos) << path;
    const RawReply file = ask("GET", path);
    EXPECT_EQ(file.status, 200) << path;
    EXPECT_EQ(file.body, asset.gzip);
    EXPECT_THAT(file.head, HasSubstr("Content-Encoding: gzip"));
    EXPECT_THAT(file.head, HasSubstr("immutable"));
    EXPECT_THAT(file.head, HasSubstr(fmt::format("Content-Type: {}", asset.type)));
  }
  for (const char* path : {"/web/", "/web/app.js", "/web/0000000000000000/app.js"})
    EXPECT_EQ(status("GET", path), 404) << path;
  EXPECT_EQ(status("GET", fmt::format("/web/{}/../index.html", web_hash())), 404);
}

TEST_F(WebTest, ABrowserHoldsThePageToItsPolicy) {
  start();
  if (IsSkipped()) return;
  const std::string script = fmt::format("/web/{}/app.js", web_hash());
  for (const std::string& head : {ask("GET", "/", kBrowser).head, ask("GET", script).head})
    for (const char* header :
         {"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'",
          "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
          "require-trusted-types-for 'script'", "X-Content-Type-Options: nosniff",
          "Referrer-Policy: no-referrer", "Cross-Origin-Opener-Policy: same-origin",
          "Cross-Origin-Resource-Policy: same-origin"})
      EXPECT_THAT(head, HasSubstr(header));
}

TEST_F(WebTest, ASessionStandsForAKey) {
  start({"secret"});
  if (IsSkipped()) return;
  EXPECT_EQ(status("GET", "/", kBrowser), 200) << "a key can be typed into it";
  EXPECT_EQ(status("GET", "/status"), 401);
  EXPECT_EQ(status("GET", "/v1/session"), 401);
  EXPECT_EQ(status("POST", "/v1/session", "X-Lathe: 1\r\n", "{}"), 401);
  EXPECT_EQ(status("POST", "/v1/session", "Authorization: Bearer wrong\r\nX-Lathe: 1\r\n", "{}"),
            401);
  const std::string cookie = new_cookie();
  EXPECT_EQ(status("GET", "/status", cookie), 200);
  const Json who = parse_json(ask("GET", "/v1/session", cookie).body).value();
  EXPECT_EQ(who, Json({{"keys", true}, {"owner", true}, {"name", "owner"}}));
  EXPECT_EQ(status("GET", "/status", "Cookie: lathe_session=guessed\r\n"), 401);
  EXPECT_EQ(status("DELETE", "/v1/session", cookie), 403) << "without X-Lathe";
  const RawReply ended = ask("DELETE", "/v1/session", cookie + "X-Lathe: 1\r\n");
  EXPECT_EQ(ended.status, 204);
  EXPECT_THAT(ended.head, HasSubstr("Max-Age=0"));
  EXPECT_EQ(status("GET", "/status", cookie), 401);
}

TEST_F(WebTest, WhereNoKeyIsAskedForThereIsNoSession) {
  start();
  if (IsSkipped()) return;
  const RawReply reply = ask("POST", "/v1/session", "X-Lathe: 1\r\n", "{}");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.head, Not(HasSubstr("Set-Cookie")));
  EXPECT_EQ(parse_json(reply.body).value(), Json({{"keys", false}, {"owner", true}, {"name", ""}}));
}

TEST_F(WebTest, ChangesAreAskedForByThePageAndByNoOtherSite) {
  start({"secret"});
  if (IsSkipped()) return;
  const std::string cookie = new_cookie();
  const std::string said = "X-Lathe: 1\r\n";
  const std::string form = "Content-Type: application/x-www-form-urlencoded\r\n";
  EXPECT_EQ(status("POST", "/v1/change", cookie, "{}"), 403);
  EXPECT_EQ(status("POST", "/v1/change", cookie + form, "a=1"), 403);
  EXPECT_EQ(status("POST", "/v1/change", cookie + "Content-Type: multipart/form-data\r\n" + said),
            415);
  EXPECT_EQ(status("POST", "/v1/change", cookie + said + "Origin: http://evil.example\r\n", "{}"),
            403);
  EXPECT_EQ(status("POST", "/v1/change", cookie + said + "Sec-Fetch-Site: cross-site\r\n", "{}"),
            403);
  EXPECT_EQ(status("POST", "/v1/chat", cookie, "{}"), 403) << "a cookie comes by itself";
  EXPECT_EQ(status("POST", "/v1/chat", "X-Api-Key: secret\r\n", "{}"), 200);
  EXPECT_EQ(status("POST", "/v1/change", "X-Api-Key: secret\r\n", "{}"), 403);
  RawClient rebound(server->port());
  rebound.send("POST /v1/change HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n" + cookie +
               said + "\r\n{}");
  EXPECT_EQ(rebound.reply().status, 403);
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(status("POST", "/v1/change", cookie + said, "{}"), 200);
  EXPECT_EQ(changes, 1);
}

}  // namespace
}  // namespace lathe::serve
