// Workers that speak Anthropic's and OpenAI's API, against our own server, which speaks both: what
// one side writes, the other has to read. And what leaves for a cloud, and what does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/scripted_host.h>

#include <thread>

#include "serve/net/http_worker.h"
#include "serve/server/api_routes.h"
#include "serve/server/server.h"

namespace lathe::serve {
namespace {

using lathe::testing::scripted_family;
using lathe::testing::ScriptedHost;
using ::testing::HasSubstr;

const std::vector<ScriptedHost::Line> kLines{
    {.when = "!think", .deltas = {{"", "Let me see. "}, {"It is ", ""}, {"so.", ""}}},
    {.when = "seen",
     .deltas = {{"", "", {{"call_9", "look", R"({"at":2})"}}}},
     .finish = FinishReason::kToolCalls},
    {.when = "!full", .error = Error{ErrorKind::kUnavailable, "8 requests wait", "queue_full"}},
};

class Clouds : public ::testing::TestWithParam<const ApiDialect*> {
 protected:
  void SetUp() override {
    ServerConfig config;
    config.addresses = {"127.0.0.1"};
    config.port = 0;
    config.api_keys = {"the-key"};
    auto started = Server::start(std::move(config), std::vector{api_routes(far)});
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }

  HttpWorkerConfig config() const {
    HttpWorkerConfig made;
    made.name = "big";
    made.base_url = fmt::format("http://127.0.0.1:{}", server->port());
    made.model = "small";
    made.api_key = "the-key";
    made.api = GetParam();
    made.cloud = true;
    made.allowed = Reach::kAny;
    made.retry_delay = Milliseconds(5);
    made.consent = [](const CloudBody&, const StopFlag&) -> Result<std::string> {
      return "consent x";
    };
    return made;
  }

  Result<Reply> ask(HttpWorkerConfig made, Request request, Reply* heard = nullptr) {
    LATHE_TRY(const auto worker, HttpWorker::make(std::move(made)));
    return worker->complete(request, StopFlag(), [&](const Delta& delta) {
      if (heard == nullptr) return;
      heard->text += delta.text;
      heard->reasoning += delta.reasoning;
      std::ranges::copy(delta.calls, std::back_inserter(heard->calls));
    });
  }

  static Request talk(std::string text) {
    Request request;
    request.ask = Talk{{{"system", "be brief"}, {"user", std::move(text)}}};
    request.time_limit = Milliseconds(60'000);
    return request;
  }

  ScriptedHost far{scripted_family(), kLines};
  std::unique_ptr<Server> server;
};

TEST_P(Clouds, AnswersComeThrough) {
  Reply heard;
  const auto reply = ask(config(), talk("!think"), &heard);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text, "It is so.");
  EXPECT_EQ(reply->reasoning, "Let me see. ");
  EXPECT_EQ(heard.text, reply->text);
  EXPECT_TRUE(reply->usage.counted);
  EXPECT_GT(reply->usage.prompt_tokens, 0);
  EXPECT_GT(reply->usage.completion_tokens, 0);
  const Talk seen = *far.seen().back().talk();
  ASSERT_EQ(seen.messages.size(), 2U);
  EXPECT_EQ(seen.messages[0], (Message{"system", "be brief"}));
  EXPECT_EQ(seen.messages[1], (Message{"user", "!think"}));
  EXPECT_EQ(far.seen().back().max_tokens, 4096);
}

TEST_P(Clouds, ToolsSchemasAndSamplingAreRead) {
  Request request = talk("hi");
  Talk with_tool = *request.talk();
  with_tool.messages.push_back({"assistant", "I look."});
  with_tool.messages.back().calls = {{"call_1", "look", R"({"at":1})"}};
  with_tool.messages.push_back({"tool", "seen"});
  with_tool.messages.back().call_id = "call_1";
  with_tool.tools = {
      {.name = "look",
       .description = "looks",
       .parameters = {{"type", "object"}, {"properties", {{"at", Json::object()}}}}}};
  with_tool.tool_choice = MustCall{"look"};
  request.ask = with_tool;
  request.stop = {"END"};
  request.sampling.temperature = 0.25;
  Reply heard;
  const auto reply = ask(config(), request, &heard);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->finish, FinishReason::kToolCalls);
  ASSERT_EQ(reply->calls.size(), 1U);
  EXPECT_EQ(reply->calls[0].name, "look");
  EXPECT_EQ(heard.calls, reply->calls);
  const HostRequest seen = far.seen().back();
  const Talk& there = *seen.talk();
  ASSERT_EQ(there.messages.size(), 4U);
  EXPECT_EQ(there.messages[2].calls, with_tool.messages[2].calls);
  EXPECT_EQ(there.messages[3].call_id, "call_1");
  EXPECT_EQ(there.messages[3].content.text(), "seen");
  EXPECT_EQ(there.tools, with_tool.tools);
  EXPECT_EQ(there.tool_choice, with_tool.tool_choice);
  EXPECT_EQ(seen.stop, request.stop);
  EXPECT_EQ(seen.sampling.temperature, 0.25);
  Request schema = talk("Ada?");
  schema.form = SchemaForm{{{"type", "object"}}};
  const auto formed = ask(config(), schema);
  ASSERT_TRUE(formed) << formed.error().message;
  EXPECT_TRUE(std::holds_alternative<SchemaForm>(far.seen().back().form));
}

TEST_P(Clouds, WhatIsRefusedSaysSo) {
  HttpWorkerConfig wrong = config();
  wrong.api_key = "another";
  const auto refused = ask(wrong, talk("hi"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("key"));
  const auto busy = ask(config(), talk("!full"));
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().kind, ErrorKind::kUnavailable) << busy.error().message;
}

// Not a request, not a look at the models.
TEST_P(Clouds, NothingLeavesWithoutConsent) {
  HttpWorkerConfig none = config();
  none.consent = {};
  auto worker = *HttpWorker::make(none);
  EXPECT_EQ(worker->info().reach, Reach::kAny) << "wherever its address is";
  EXPECT_TRUE(worker->ready(StopFlag()));
  const auto reply = worker->complete(talk("hi"), StopFlag(), {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(reply.error().message, HasSubstr("nothing was sent"));
  HttpWorkerConfig denied = config();
  int asked = 0;
  denied.consent = [&](const CloudBody&, const StopFlag&) -> Result<std::string> {
    ++asked;
    return fail(ErrorKind::kDenied, "no");
  };
  EXPECT_FALSE(ask(denied, talk("hi")));
  EXPECT_EQ(asked, 1) << "a denial is not asked again";
  HttpWorkerConfig near = config();
  near.allowed = Reach::kLan;
  const auto far_away = ask(near, talk("hi"));
  ASSERT_FALSE(far_away);
  EXPECT_THAT(far_away.error().message, HasSubstr("--allow any"));
  EXPECT_TRUE(far.seen().empty());
}

TEST_P(Clouds, ConsentIsAskedForTheBytesThatLeave) {
  std::vector<std::string> bodies;
  HttpWorkerConfig made = config();
  std::string shown;
  made.on_outgoing = [&](std::string_view text) { shown = text; };
  made.consent = [&](const CloudBody& body, const StopFlag&) -> Result<std::string> {
    EXPECT_TRUE(shown.empty()) << "shown before it was allowed";
    bodies.emplace_back(body.bytes);
    EXPECT_EQ(body.model, "small");
    EXPECT_EQ(body.answer_tokens, 4096);
    EXPECT_EQ(body.labels.at("run"), "r");
    EXPECT_THAT(body.destination,
                ::testing::StartsWith(fmt::format("http://127.0.0.1:{}/v1/", server->port())));
    return "consent x";
  };
  Request request = talk("hi");
  request.labels = {{"run", "r"}};
  ASSERT_TRUE(ask(made, request));
  ASSERT_EQ(bodies.size(), 1U);
  EXPECT_EQ(shown, bodies[0]);
  shown.clear();
  ASSERT_TRUE(ask(made, request));
  EXPECT_EQ(bodies[1], bodies[0]) << "the same request has the same bytes";
}

// What a person takes to answer is none of the call's time.
TEST_P(Clouds, WaitingForConsentTakesNoTime) {
  HttpWorkerConfig made = config();
  int asked = 0;
  made.consent = [&](const CloudBody&, const StopFlag&) -> Result<std::string> {
    if (++asked == 1) std::this_thread::sleep_for(Milliseconds(8'100));
    return "consent x";
  };
  Request request = talk("!full");
  request.time_limit = Milliseconds(8'000);
  EXPECT_FALSE(ask(made, request));
  EXPECT_EQ(asked, 3) << "there is time left for both retries";
}

INSTANTIATE_TEST_SUITE_P(Apis, Clouds, ::testing::Values(&openai_dialect(), &anthropic_dialect()),
                         [](const auto& made) { return std::string(made.param->name); });

}  // namespace
}  // namespace lathe::serve
