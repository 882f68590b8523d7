// People with keys of their own: on every endpoint of every API, who comes in, what they see, and
// what they may use.
#include "serve/server/server_test.h"

#include "ground/base/hash.h"

namespace lathe::serve {
namespace {

constexpr std::string_view kAnna = "x-api-key: anna-secret\r\n",
                           kBen = "Authorization: Bearer ben\r\n",
                           kOwner = "x-api-key: owner-secret\r\n";

// A request to each endpoint that a model works for, streams included.
struct Endpoint {
  std::string path, body;
};
std::vector<Endpoint> endpoints() {
  std::vector<Endpoint> all;
  const std::string talk = R"("messages": [{"role": "user", "content": "hello there"}])";
  for (const char* stream : {"false", "true"}) {
    const auto with = [&](const std::string& rest) {
      return fmt::format(R"({{"model": "small", "stream": {}, {}}})", stream, rest);
    };
    all.push_back({"/v1/chat/completions", with(talk)});
    all.push_back({"/v1/completions", with(R"("prompt": "hello")")});
    all.push_back({"/v1/responses", with(R"("input": "hello")")});
    all.push_back({"/v1/messages", with(talk + R"(, "max_tokens": 50)")});
    all.push_back({"/api/chat", with(talk)});
    all.push_back({"/api/generate", with(R"("prompt": "hello")")});
  }
  all.push_back({"/v1/embeddings", R"({"model": "small", "input": "hello"})"});
  all.push_back({"/api/embed", R"({"model": "small", "input": "hello"})"});
  all.push_back({"/api/embeddings", R"({"model": "small", "prompt": "hello"})"});
  all.push_back({"/v1/rerank", R"({"model": "small", "query": "h", "documents": ["a", "b"]})"});
  return all;
}
// … and those that only count or look.
std::vector<Endpoint> others() {
  const std::string talk = R"("messages": [{"role": "user", "content": "hello there"}])";
  return {{"/tokenize", R"({"model": "small", "content": "hello"})"},
          {"/detokenize", R"({"model": "small", "tokens": [104]})"},
          {"/apply-template", R"({"model": "small", )" + talk + "}"},
          {"/v1/messages/count_tokens", R"({"model": "small", )" + talk + "}"},
          {"/v1/responses/input_tokens", R"({"model": "small", "input": "hello"})"},
          {"/api/show", R"({"model": "small"})"}};
}

std::string header(const RawReply& reply, const std::string& name) {
  const auto at = reply.head.find(name + ": ");
  if (at == std::string::npos) return "none";
  const auto from = at + name.size() + 2;
  return reply.head.substr(from, reply.head.find('\r', from) - from);
}

class PeopleTest : public ServerTest {
 protected:
  void SetUp() override {
    anna_.name = "anna";
    anna_.sha256 = sha256_hex("anna-secret");
    ben_.name = "ben";
    ben_.sha256 = sha256_hex("ben");
    begin();
  }
  void begin() {
    server.reset();
    write();
    ServerConfig config;
    config.api_keys = {"owner-secret"};
    config.keys = *KeyFile::open(path(), {});
    start(std::move(config));
  }
  fs::path path() const { return dir_.path() / "keys.toml"; }
  void write() { ASSERT_TRUE(write_file_atomic(path(), keys_text(std::vector<Key>{anna_, ben_}))); }

  TempDir dir_ = *TempDir::make();
  Key anna_, ben_;
};

TEST_F(PeopleTest, EverybodyByTheirKeyAndTheHostKnowsWhoAsks) {
  for (const Endpoint& each : endpoints()) {
    EXPECT_EQ(post(each.path, each.body).status, 401) << each.path;
    EXPECT_EQ(post(each.path, each.body, "x-api-key: another\r\n").status, 401) << each.path;
    EXPECT_EQ(post(each.path, each.body, kAnna).status, 200) << each.path << each.body;
  }
  EXPECT_EQ(get("/health").status, 200);
  ben_.call_class = CallClass::kBackground;
  ben_.weight = 2;
  write();
  EXPECT_EQ(post("/v1/chat/completions", chat("hello"), kBen).status, 200);
  EXPECT_EQ(host.seen().back().caller,
            (Caller{"ben", CallClass::kBackground, 2, "/chat/completions"}));
  EXPECT_EQ(post("/v1/chat/completions", chat("hello"), kOwner).status, 200);
  EXPECT_EQ(host.seen().back().caller.key, "owner");
}

TEST_F(PeopleTest, RevokedAndExpiredKeysAreRefusedAtOnce) {
  EXPECT_EQ(get("/v1/models", kAnna).status, 200);
  anna_.revoked = 1'796'083'200;
  ben_.expires = 1'700'000'000;
  write();
  RawReply reply = get("/v1/models", kAnna);
  EXPECT_EQ(reply.status, 401);
  EXPECT_THAT(reply.body, HasSubstr("was revoked on 2026-12-01"));
  reply = get("/v1/models", kBen);
  EXPECT_EQ(reply.status, 401);
  EXPECT_THAT(reply.body, HasSubstr("expired on 2023-11-14"));
  EXPECT_EQ(get("/v1/models", kOwner).status, 200);
}

TEST_F(PeopleTest, WhatConcernsEverybodyIsTheOwners) {
  for (const char* path : {"/models/load", "/v1/models/unload"}) {
    EXPECT_EQ(post(path, R"({"model": "small"})", kAnna).status, 403) << path;
    EXPECT_EQ(post(path, R"({"model": "small"})", kOwner).status, 200) << path;
  }
  EXPECT_EQ(get("/metrics", kAnna).status, 403);
  EXPECT_EQ(get("/metrics", kOwner).status, 200);
}

TEST_F(PeopleTest, OthersModelsAreNotThere) {
  anna_.models = {"large"};
  write();
  for (const auto& list : {endpoints(), others()}) {
    for (const Endpoint& each : list) {
      const RawReply reply = post(each.path, each.body, kAnna);
      EXPECT_EQ(reply.status, 404) << each.path << each.body << reply.body;
      EXPECT_THAT(reply.body, HasSubstr("it may use large")) << each.path;
    }
  }
  for (const char* path : {"/v1/models", "/api/tags", "/status"}) {
    EXPECT_THAT(get(path, kAnna).body, Not(HasSubstr("small"))) << path;
    EXPECT_THAT(get(path, kAnna).body, HasSubstr("large")) << path;
    EXPECT_THAT(get(path, kBen).body, HasSubstr("small")) << path;
  }
  EXPECT_EQ(get("/v1/models/small", kAnna).status, 404);
  EXPECT_EQ(get("/v1/models/large", kAnna).status, 200);
  EXPECT_EQ(post("/v1/chat/completions", chat("hello", "", "large"), kAnna).status, 200);
  // By an alias, too; and with one model there is no need to name it.
  anna_.models = {"tiny"};
  write();
  EXPECT_EQ(post("/v1/chat/completions", chat("hello"), kAnna).status, 200);
  EXPECT_EQ(post("/v1/completions", R"({"prompt": "hello"})", kAnna).status, 200);
}

// Streamed calls count, and no API is left out: what other gateways have got wrong.
TEST_F(PeopleTest, AQuotaOfTokensTripsOnEveryEndpoint) {
  anna_.tokens_day = 1;
  for (const Endpoint& spent : endpoints()) {
    begin();  // nothing is used yet
    const RawReply first = post(spent.path, spent.body, kAnna);
    EXPECT_EQ(first.status, 200) << spent.path;
    auto list = endpoints();
    for (const Endpoint& other : others()) list.push_back(other);
    for (const Endpoint& each : list) {
      const RawReply reply = post(each.path, each.body, kAnna);
      ASSERT_EQ(reply.status, 429) << spent.path << " then " << each.path;
      EXPECT_EQ(header(reply, "x-should-retry"), "false");
      const int wait = std::stoi(header(reply, "Retry-After"));
      EXPECT_TRUE(wait >= 1 && wait <= 86'400) << wait;
      EXPECT_THAT(reply.body, HasSubstr("of its 1 tokens of today"));
      const Json json = parsed(reply.body);
      if (dialect_of(each.path) == Dialect::kOpenAi) {
        EXPECT_EQ(json["error"]["code"], "quota_exceeded");
      }
      if (dialect_of(each.path) == Dialect::kAnthropic) {
        EXPECT_EQ(json["error"]["type"], "rate_limit_error");
      }
    }
    EXPECT_EQ(get("/v1/models", kAnna).status, 200) << "to look is free";
    EXPECT_EQ(post("/v1/chat/completions", chat("hello"), kBen).status, 200);
  }
}

TEST_F(PeopleTest, CancelledAndFailedCallsCount) {
  anna_.tokens_day = 1;
  begin();
  {
    RawClient one = client();
    one.post("/v1/chat/completions", chat("!endless", R"("stream": true)"), kAnna);
    ASSERT_TRUE(one.wait_for("on and"));
  }
  EXPECT_TRUE(
      eventually([&] { return post("/v1/chat/completions", chat("hello"), kAnna).status == 429; }));
  begin();
  EXPECT_EQ(post("/v1/chat/completions", chat("!break"), kAnna).status, 503);
  EXPECT_EQ(post("/v1/chat/completions", chat("hello"), kAnna).status, 429);
}

TEST_F(PeopleTest, OnlySoManyAtOnce) {
  anna_.parallel = 1;
  begin();
  RawClient one = client();
  one.post("/v1/chat/completions", chat("!endless", R"("stream": true)"), kAnna);
  ASSERT_TRUE(one.wait_for("on and"));
  const RawReply refused = post("/v1/messages", R"({"model": "small", "max_tokens": 5,
      "messages": [{"role": "user", "content": "hello"}]})",
                                kAnna);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(header(refused, "Retry-After"), "1");
  EXPECT_EQ(header(refused, "x-should-retry"), "false");
  EXPECT_EQ(post("/v1/chat/completions", chat("hello"), kBen).status, 200);
  one.close();
  EXPECT_TRUE(
      eventually([&] { return post("/v1/chat/completions", chat("hello"), kAnna).status == 200; }));
  // One after the other never meets itself.
  auto list = endpoints();
  for (int round = 0; round < 5; ++round)
    for (const Endpoint& each : list)
      ASSERT_EQ(post(each.path, each.body, kAnna).status, 200) << each.path;
}

TEST(People, OtherMachinesNeedKeys) {
  const TempDir dir = *TempDir::make();
  ScriptedHost host(scripted_family(), script());
  const auto started = [&] {
    ServerConfig config;
    config.addresses = {"0.0.0.0"};
    config.port = 0;
    config.keys = *KeyFile::open(dir.path() / "keys.toml", {});
    return Server::start(std::move(config), {api_routes(host)});
  };
  auto refused = started();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("`lathe key add NAME`"));
  Key key;
  key.name = "anna";
  key.sha256 = sha256_hex("a");
  ASSERT_TRUE(write_file_atomic(dir.path() / "keys.toml", keys_text(std::vector<Key>{key})));
  EXPECT_TRUE(started());
}

}  // namespace
}  // namespace lathe::serve
