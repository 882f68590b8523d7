// Every call of a server has one row, whatever API it comes by and however it ends.
#include <gmock/gmock.h>
#include <testing/memory_journal.h>
#include <testing/raw_client.h>
#include <testing/requests.h>
#include <testing/scripted_host.h>

#include "ground/base/text.h"
#include "serve/account/account_host.h"
#include "serve/account/usage_routes.h"
#include "serve/server/api_routes.h"
#include "serve/server/server.h"

namespace lathe::serve {
namespace {

using books::LedgerRow;
using testing::eventually;
using ::testing::HasSubstr;
using testing::MemoryShelf;
using testing::RawClient;
using testing::RawReply;
using testing::ScriptedHost;
using std::chrono_literals::operator""ms;

const std::vector<ScriptedHost::Line> kScript{
    {.when = "!endless", .deltas = {{"on and ", ""}}, .between = 2ms, .endless = true},
    {.when = "!late", .deltas = {{"late", ""}}, .prefill = 600'000ms},
    {.when = "!never", .error = Error{ErrorKind::kUnavailable, "8 requests wait", "queue_full"}},
    {.when = "!break",
     .deltas = {{"half ", ""}},
     .error = Error{ErrorKind::kUnavailable, "the engine failed"}},
};

// A journal whose disk may be full.
class FullDisk : public testing::MemoryRecords {
 public:
  FullDisk(std::shared_ptr<MemoryShelf> shelf, std::shared_ptr<std::atomic<bool>> full)
      : MemoryRecords(std::move(shelf)), full_(std::move(full)) {}
  Status book(const books::LedgerChange& change) override {
    if (full_->load()) return fail(ErrorKind::kUnavailable, "database or disk is full");
    return MemoryRecords::book(change);
  }

 private:
  std::shared_ptr<std::atomic<bool>> full_;
};

class AccountTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = Bookkeeper::start(books::Journal(std::make_unique<FullDisk>(shelf, full),
                                                    std::make_unique<testing::MemoryBlobs>(shelf)));
    ASSERT_TRUE(started) << started.error().message;
    keeper = std::move(*started);
    scripted = std::make_unique<ScriptedHost>(testing::scripted_family(), kScript);
    host =
        std::make_unique<AccountHost>(*scripted, *keeper, AccountedFamily{.engine = "lathe test"});
    ServerConfig config;
    config.port = 0;
    auto running = Server::start(std::move(config),
                                 {usage_routes(
                                      *keeper, [this] { return Result<books::Journal>(journal()); },
                                      [this](const Call&) { return owner; }),
                                  api_routes(*host)});
    ASSERT_TRUE(running) << running.error().message;
    server = std::move(*running);
  }

  books::Journal journal() const { return testing::memory_journal(shelf); }
  std::vector<LedgerRow> rows() {
    EXPECT_TRUE(keeper->flush());
    std::vector<LedgerRow> list;
    EXPECT_TRUE(journal().rows({}, [&](const LedgerRow& row) { list.push_back(row); }));
    return list;
  }
  RawReply post(std::string_view path, std::string_view body) {
    RawClient client(server->port());
    client.post(path, body, "");
    return client.reply();
  }
  RawReply get(std::string_view path) {
    RawClient client(server->port());
    client.get(path, "");
    return client.reply();
  }

  std::shared_ptr<MemoryShelf> shelf = std::make_shared<MemoryShelf>();
  std::shared_ptr<std::atomic<bool>> full = std::make_shared<std::atomic<bool>>(false);
  bool owner = true;
  // In the order in which they may end.
  std::unique_ptr<Bookkeeper> keeper;
  std::unique_ptr<ScriptedHost> scripted;
  std::unique_ptr<AccountHost> host;
  std::unique_ptr<Server> server;
};

struct Api {
  const char* path;
  const char* endpoint;
  bool streams;
  std::string (*body)(const std::string& text, bool stream);
};
std::string messages_body(const std::string& text, bool stream) {
  return fmt::format(R"({{"model": "small", "max_tokens": 100000, "stream": {}, "messages": )"
                     R"([{{"role": "user", "content": {}}}]}})",
                     stream, dump_json(text));
}
std::string input_body(const std::string& text, bool stream) {
  return fmt::format(R"({{"model": "small", "stream": {}, "input": {}}})", stream, dump_json(text));
}
std::string prompt_body(const std::string& text, bool stream) {
  return fmt::format(R"({{"model": "small", "max_tokens": 100000, "stream": {}, "prompt": {}}})",
                     stream, dump_json(text));
}
const Api kApis[] = {
    {"/v1/chat/completions", "/chat/completions", true, messages_body},
    {"/v1/messages", "/messages", true, messages_body},
    {"/v1/responses", "/responses", true, input_body},
    {"/api/chat", "/api/chat", true, messages_body},
    {"/v1/completions", "/completions", true, prompt_body},
    {"/api/generate", "/api/generate", true, prompt_body},
    {"/v1/embeddings", "/embeddings", false, input_body},
};

TEST_F(AccountTest, FiveHundredCallsOverEveryApiAddUp) {
  constexpr int kCalls = 500;
  std::map<std::string, int> expected;  // finish
  int refused = 0;
  std::vector<std::unique_ptr<RawClient>> leaving;
  for (int i = 0; i < kCalls; ++i) {
    const Api& api = kApis[i % 7];
    const bool stream = api.streams && i / 7 % 2 == 1;
    const int kind = i / 14 % 4;
    const bool generates = api.streams;
    const std::string text = kind == 1 && generates   ? "!break " + std::to_string(i % 7)
                             : kind == 2 && generates ? "!endless"
                             : kind == 3 && generates ? "!never"
                                                      : "a question";
    if (kind == 2 && generates) {
      // The client goes: some when the first words have come, some at once.
      auto client = std::make_unique<RawClient>(server->port());
      client->post(api.path, api.body(text, stream), "");
      ++expected["cancelled"];
      leaving.push_back(std::move(client));
      if (leaving.size() > 4) leaving.erase(leaving.begin());
      continue;
    }
    const RawReply reply = post(api.path, api.body(text, stream));
    if (kind == 1 && generates) {
      ++expected["failed"];
    } else if (kind == 3 && generates) {
      ++expected["failed"];
      ++refused;
      EXPECT_NE(reply.status, 0);
    } else {
      EXPECT_EQ(reply.status, 200) << api.path << reply.body;
      ++expected[generates ? "stop" : "done"];
    }
  }
  ASSERT_TRUE(eventually([&] { return scripted->running() == std::ssize(leaving); }));
  leaving.clear();
  ASSERT_TRUE(eventually([&] { return std::ssize(rows()) == kCalls; }));
  const std::vector<LedgerRow> all = rows();
  ASSERT_EQ(std::ssize(all), kCalls);
  EXPECT_TRUE(journal().verify_ledger());

  std::map<std::string, int> seen;
  std::set<std::string> ids;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> tokens;
  std::int64_t prompt = 0, cached = 0, out = 0;
  for (const LedgerRow& row : all) {
    ++seen[row.finish];
    ids.insert(row.id);
    EXPECT_TRUE(row.counted()) << row.endpoint << row.finish;
    prompt += *row.tokens.fresh + *row.tokens.cached;
    cached += *row.tokens.cached;
    out += *row.tokens.out;
    if (row.finish != "cancelled")
      tokens[{row.endpoint, row.finish + row.problem}].insert(
          fmt::format("{}+{}→{}", *row.tokens.fresh, *row.tokens.cached, *row.tokens.out));
  }
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(std::ssize(ids), kCalls) << "one row a call";
  // Whether it was streamed or not, to the token.
  for (const auto& [call, counts] : tokens)
    EXPECT_EQ(counts.size(), 1U) << call.first << " " << call.second << ": "
                                 << ::testing::PrintToString(counts);
  const HostCounters counters = host->status().counters;
  EXPECT_EQ(counters.requests, kCalls);
  EXPECT_EQ(counters.cancelled, expected["cancelled"]);
  EXPECT_EQ(counters.failed, expected["failed"]);
  EXPECT_EQ(prompt, counters.prompt_tokens);
  EXPECT_EQ(cached, counters.cached_tokens);
  EXPECT_EQ(out, counters.completion_tokens);
  EXPECT_GT(refused, 0);
  // And what is said of it over HTTP.
  const Json usage = parse_json(get("/v1/usage?by=key").body).value();
  ASSERT_EQ(usage["data"].size(), 1U);
  EXPECT_EQ(usage["data"][0]["calls"], kCalls);
  EXPECT_EQ(usage["data"][0]["out"], out);
  EXPECT_THAT(get("/metrics").body,
              HasSubstr(fmt::format("lathe_completion_tokens_total {}\n", out)));
}

TEST_F(AccountTest, ACallThatCannotBeWrittenDownIsNotBegun) {
  full->store(true);
  for (const Api& api : kApis) {
    const RawReply reply = post(api.path, api.body("a question", false));
    EXPECT_EQ(reply.status, 503) << api.path;
    EXPECT_THAT(reply.body, HasSubstr("disk is full")) << api.path;
  }
  EXPECT_THAT(post(kApis[0].path, kApis[0].body("x", false)).body, HasSubstr("ledger_unavailable"));
  EXPECT_TRUE(scripted->seen().empty()) << "no model was asked";
  full->store(false);
  EXPECT_EQ(post(kApis[0].path, kApis[0].body("a question", false)).status, 200);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_F(AccountTest, WhatHasEndedIsWrittenWhenTheDiskHasRoomAgain) {
  RawClient client(server->port());
  client.post(kApis[0].path, kApis[0].body("!late", false), "");
  ASSERT_TRUE(eventually([&] { return scripted->running() == 1; }));
  full->store(true);
  client.close();
  ASSERT_TRUE(eventually([&] { return scripted->cancelled() == 1; }));
  EXPECT_FALSE(keeper->flush());
  full->store(false);
  ASSERT_TRUE(eventually([&] { return bool(keeper->flush()); }));
  const std::vector<LedgerRow> all = rows();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].finish, "cancelled");
}

TEST_F(AccountTest, CallsUnderWayWhenTheProcessEndsAreLost) {
  auto other = Bookkeeper::start(journal()).value();
  auto before = std::make_unique<AccountHost>(*scripted, *other, AccountedFamily{});
  HostRequest request;
  request.ask = TextPrompt{"!late"};
  request.caller.endpoint = "/completions";
  before->submit("small", std::move(request), {}, [](const auto&) {});
  ASSERT_TRUE(eventually([&] { return scripted->running() == 1; }));
  EXPECT_EQ(journal().book_lost_calls().value(), 0) << "its process lives";
  // As if the process ended here: nobody hears the host any more.
  before.reset();
  other.reset();
  EXPECT_EQ(journal().book_lost_calls().value(), 1);
  const std::vector<LedgerRow> all = rows();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].finish, "lost");
  EXPECT_EQ(all[0].endpoint, "/completions");
  EXPECT_FALSE(all[0].counted());
}

TEST_F(AccountTest, ACallerWithAKeySeesItsOwnRowsAlone) {
  owner = false;
  books::Journal other = journal();
  LedgerRow row;
  row.id = "theirs";
  row.key = "ada";
  LedgerRow run = row;
  run.id = "run";
  run.key = "";
  run.run = "r1";
  ASSERT_TRUE(other.book({.rows = {row, run}}));
  EXPECT_EQ(post(kApis[0].path, kApis[0].body("a question", false)).status, 200);
  const Json mine = parse_json(get("/v1/usage?by=key").body).value();
  ASSERT_EQ(mine["data"].size(), 1U);
  EXPECT_EQ(mine["data"][0]["name"], "");
  EXPECT_EQ(mine["data"][0]["calls"], 1);
  owner = true;
  EXPECT_EQ(parse_json(get("/v1/usage?by=key").body).value()["data"].size(), 3U);
  EXPECT_THAT(get("/v1/usage?by=key&format=csv").body, HasSubstr("\nserved,ada,1,"));
}

TEST_F(AccountTest, QuestionsThatMakeNoSenseAreRefused) {
  for (const char* bad : {"by=model&by=texts", "from=yesterday", "to=2026-02-30", "format=xml",
                          "for=all", "from=2026-02-02&to=2026-02-01"})
    EXPECT_EQ(get(std::string("/v1/usage?") + bad).status, 400) << bad;
  EXPECT_EQ(get("/v1/usage?from=2026-02-01&to=2026-02-01").status, 200);
}

}  // namespace
}  // namespace lathe::serve
