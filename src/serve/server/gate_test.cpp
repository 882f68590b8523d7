// Hosts, keys and origins that are let in, and those that are not.
#include "serve/server/gate.h"

#include <gtest/gtest.h>

#include "ground/base/hash.h"

namespace lathe::serve {
namespace {

HttpRequest request(std::string method, std::string path, HttpHeaders headers) {
  return {std::move(method), std::move(path), "", std::move(headers), ""};
}

int status(const GateRules& rules, const HttpRequest& head) {
  const auto refusal = check_gate(rules, head);
  return refusal ? refusal->status : 200;
}

TEST(Gate, Hosts) {
  const auto get = [](const std::string& host) {
    return request("GET", "/v1/models", {{"host", host}});
  };
  const GateRules local;
  for (const char* host : {"localhost", "localhost:8080", "LocalHost.", "127.0.0.1:80", "127.8.9.1",
                           "[::1]", "[::1]:8080", "app.localhost"})
    EXPECT_EQ(status(local, get(host)), 200) << host;
  for (const char* host : {"evil.com", "evil.com:8080", "127.0.0.1.evil.com", "localhost.evil.com",
                           "192.168.1.5", "[::2]", "", "[", "127.0.0.1evil", "0.0.0.0"})
    EXPECT_EQ(status(local, get(host)), 403) << host;
  EXPECT_EQ(status(local, request("GET", "/", {})), 200);  // HTTP/1.0
  const GateRules named{.hosts = {"Box.lan"}, .any_address = true};
  EXPECT_EQ(status(named, get("box.lan:8080")), 200);
  EXPECT_EQ(status(named, get("192.168.1.5:8080")), 200);
  EXPECT_EQ(status(named, get("evil.com")), 403);
}

TEST(Gate, Keys) {
  const GateRules rules{.api_keys = {"first", "second-key"}};
  const auto with = [&](HttpHeaders headers, const char* path = "/v1/models") {
    headers.emplace_back("host", "localhost");
    return status(rules, request("GET", path, headers));
  };
  EXPECT_EQ(with({{"authorization", "Bearer second-key"}}), 200);
  EXPECT_EQ(with({{"authorization", "bearer  first "}}), 200);
  EXPECT_EQ(with({{"x-api-key", "first"}}), 200);
  for (const char* wrong : {"", "firs", "firstt", "first\n", "Bearer first", "second"})
    EXPECT_EQ(with({{"x-api-key", wrong}}), 401) << wrong;
  EXPECT_EQ(with({{"authorization", "Basic first"}}), 401);
  EXPECT_EQ(with({{"authorization", "Bearer"}}), 401);
  for (const char* path : {"/", "/v1/models", "/metrics", "/version", "/api/tags", "/health/x"})
    EXPECT_EQ(with({}, path), 401) << path;
  EXPECT_EQ(with({}, "/health"), 200);
}

TEST(Gate, ASessionIsAsGoodAsItsKeyAndNoBetter) {
  const auto sessions = std::make_shared<Sessions>();
  const Key anna{.name = "anna", .sha256 = sha256_hex("a")};
  GateRules rules{.keys = std::make_shared<const KeyRing>(std::vector{anna}), .sessions = sessions};
  const std::string name = sessions->open("a", 0);
  const auto with = [&](const std::string& cookie, const char* path = "/v1/models") {
    return status(rules, request("GET", path, {{"host", "localhost"}, {"cookie", cookie}}));
  };
  const std::string cookie = "x=y;  lathe_session=" + name;
  EXPECT_EQ(with(cookie), 200);
  EXPECT_EQ(with(cookie, "/metrics"), 403) << "the owner's";
  EXPECT_EQ(visitor_of(rules, request("GET", "/", {{"cookie", cookie}})).caller.key, "anna");
  for (const std::string& wrong :
       std::vector<std::string>{"", "lathe_session=", "lathe_session", name,
                                "lathe_session=" + name + "0", "xlathe_session=" + name})
    EXPECT_EQ(with(wrong), 401) << wrong;
  for (const char* open : {"/", "/web/0/app.js", "/health"}) EXPECT_EQ(with("", open), 200) << open;
  EXPECT_EQ(with("", "/v1/session"), 401);
  rules.now = kSessionSeconds;
  EXPECT_EQ(with(cookie), 401) << "its time is over";
  rules.now = 1;
  Key revoked = anna;
  revoked.revoked = 1;
  rules.keys = std::make_shared<const KeyRing>(std::vector{revoked});
  EXPECT_EQ(with(cookie), 401);
  EXPECT_EQ(with("lathe_session=" + sessions->open("b", 0)), 401) << "of a key that never was";
}

TEST(Gate, OfManySessionsTheOldestEnds) {
  Sessions sessions;
  const std::string oldest = sessions.open("k", 0);
  std::string second;
  for (std::size_t i = 1; i <= kMostSessions; ++i) {
    const std::string name = sessions.open("k", static_cast<std::int64_t>(i));
    if (i == 1) second = name;
  }
  EXPECT_FALSE(sessions.key_of(oldest, 1));
  EXPECT_TRUE(sessions.key_of(second, 1));
  sessions.close(second);
  EXPECT_FALSE(sessions.key_of(second, 1));
}

TEST(Gate, WhoeverAsksMayStandBackAndNotStepForward) {
  Key nightly{.name = "nightly", .sha256 = sha256_hex("n"), .call_class = CallClass::kBackground};
  Key anna{.name = "anna", .sha256 = sha256_hex("a")};
  GateRules rules;
  const auto class_of = [&](const char* key, const char* said) {
    return visitor_of(rules, request("POST", "/", {{"x-api-key", key}, {"x-lathe-class", said}}))
        .caller.call_class;
  };
  EXPECT_EQ(class_of("", "background"), CallClass::kBackground) << "no keys are asked for";
  EXPECT_EQ(class_of("", "urgent"), CallClass::kInteractive);
  rules.keys = std::make_shared<const KeyRing>(std::vector{nightly, anna});
  EXPECT_EQ(class_of("a", "interactive"), CallClass::kInteractive);
  EXPECT_EQ(class_of("a", "background"), CallClass::kBackground);
  EXPECT_EQ(class_of("n", "interactive"), CallClass::kBackground);
}

TEST(Gate, PagesOfOthers) {
  const auto post = [](const std::string& origin, const GateRules& rules) {
    return status(rules, request("POST", "/v1/chat/completions",
                                 {{"host", "127.0.0.1:8080"},
                                  {"content-type", "application/json"},
                                  {"origin", origin}}));
  };
  EXPECT_EQ(post("http://127.0.0.1:8080", {}), 200);  // its own
  for (const char* origin :
       {"http://evil.com", "null", "http://127.0.0.1:3000", "http://127.0.0.1:8080.evil.com", ""})
    EXPECT_EQ(post(origin, {}), 403) << origin;
  EXPECT_EQ(post("https://a.example", {.origins = {"https://a.example"}}), 200);
  // One that is allowed does not excuse another.
  const auto two = [](const char* first, const char* second) {
    return status({}, request("POST", "/v1/chat/completions",
                              {{"host", "localhost"}, {"origin", first}, {"origin", second}}));
  };
  EXPECT_EQ(two("http://localhost", "http://evil.com"), 403);
  EXPECT_EQ(two("http://evil.com", "http://localhost"), 403);
  // Without an origin browsers still say whose page it was.
  const auto site = [](const char* value, const char* method = "POST") {
    return status(
        {}, request(method, "/v1/models", {{"host", "localhost"}, {"sec-fetch-site", value}}));
  };
  for (const char* foreign : {"cross-site", "same-site", "what?"}) {
    EXPECT_EQ(site(foreign), 403) << foreign;
    EXPECT_EQ(site(foreign, "GET"), 403) << foreign;
  }
  for (const char* own : {"same-origin", "none"}) EXPECT_EQ(site(own), 200) << own;
}

TEST(Gate, BodiesMayBeJson) {
  const auto post = [](HttpHeaders headers) {
    headers.emplace_back("host", "localhost");
    return status({}, request("POST", "/v1/chat/completions", headers));
  };
  EXPECT_EQ(post({{"content-type", "application/json"}}), 200);
  EXPECT_EQ(post({{"content-type", "Application/JSON; charset=utf-8"}}), 200);
  // The curl lines of other servers' pages say nothing, or what curl says by itself.
  EXPECT_EQ(post({}), 200);
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "*/*"})
    EXPECT_EQ(post({{"content-type", type}}), 200) << type;
  for (const char* type : {"multipart/form-data; boundary=x", "Multipart/Mixed"})
    EXPECT_EQ(post({{"content-type", type}}), 415) << type;
  const auto form = [](HttpHeaders headers) {
    headers.emplace_back("host", "localhost");
    return check_gate({}, request("POST", "/v1/audio/transcriptions", headers), true).has_value();
  };
  EXPECT_FALSE(form({{"content-type", "multipart/form-data; boundary=x"}}));
  EXPECT_TRUE(form({{"content-type", "application/json"}}));
  EXPECT_TRUE(form({}));
  EXPECT_TRUE(form({{"content-type", "multipart/form-data"}, {"content-encoding", "gzip"}}));
  EXPECT_EQ(post({{"content-encoding", "gzip"}}), 415);
  EXPECT_EQ(post({{"content-encoding", "identity"}}), 200);
  // Routes say what a path knows.
  EXPECT_EQ(status({}, request("DELETE", "/v1/models/x", {{"host", "localhost"}})), 200);
}

}  // namespace
}  // namespace lathe::serve
