// Calls to a server that streams, breaks off, refuses and lies: what is retried, what is said,
// what leaves.
#include "serve/net/http_worker.h"

#include <cstdlib>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "serve/net/forwarded.h"
#include "serve/net/http_worker_test.h"

namespace lathe::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(HttpWorkerTest, StreamsAReply) {
  Request asked = request();
  asked.sampling.temperature = 0.5;
  asked.sampling.seed = 7;
  asked.stop = {"END"};
  asked.form = SchemaForm{{{"type", "object"}}};
  asked.labels = {{"purpose", "make"}};
  asked.top_logprobs = 3;
  std::string streamed, thought, outgoing;
  HttpWorkerConfig settings = config("ok");
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  const auto reply = ask(settings, asked, [&](const Delta& delta) {
    streamed += delta.text;
    thought += delta.reasoning;
  });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text, "Hello wörld");
  EXPECT_EQ(reply->reasoning, "hm");
  EXPECT_EQ(streamed, reply->text);
  EXPECT_EQ(thought, "hm");
  EXPECT_EQ(reply->finish, FinishReason::kStop);
  EXPECT_EQ(reply->model, "fake-1");
  EXPECT_EQ(reply->usage.prompt_tokens, 12);
  EXPECT_EQ(reply->usage.cached_tokens, 8);
  EXPECT_EQ(reply->usage.completion_tokens, 3);
  EXPECT_TRUE(reply->usage.counted);
  EXPECT_EQ(reply->usage.calls, 1);

  const Json seen = server_->seen("ok").at(0);
  EXPECT_EQ(seen["body"], outgoing) << "exactly what leaves is shown";
  EXPECT_THAT(outgoing, Not(HasSubstr(kKey)));
  EXPECT_EQ(seen["headers"]["Authorization"], std::string("Bearer ") + kKey);
  EXPECT_FALSE(seen["headers"].contains(kReachHeader));
  const Json body = *parse_json(outgoing);
  EXPECT_EQ(body["messages"][1]["content"], "hellö");
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["seed"], 7);
  EXPECT_EQ(body["stop"], Json({"END"}));
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["top_logprobs"], 3);
  EXPECT_EQ(body["response_format"]["json_schema"]["schema"], Json({{"type", "object"}}));
  EXPECT_THAT(outgoing, Not(HasSubstr("purpose"))) << "labels are sent nowhere";
}

TEST_F(HttpWorkerTest, WaitsWhileTheServerSaysThatItLoads) {
  const auto reply = ask(config("loads_a_while"));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text, "Hello wörld");
  EXPECT_EQ(post_count("loads_a_while"), 6);
  // Not longer than its call may take.
  Request asked = request();
  asked.time_limit = Milliseconds(300);
  const auto late = ask(config("loads_for_good"), asked);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(late.error().message, HasSubstr("Loading model"));
}

TEST_F(HttpWorkerTest, RetriesWhatMayPass) {
  for (const auto& [scenario, posts] :
       {std::pair{"500_then_ok", 3}, {"429", 2}, {"429_seconds", 2}, {"close", 3}}) {
    const auto reply = ask(config(scenario));
    ASSERT_TRUE(reply) << scenario << reply.error().message;
    EXPECT_EQ(reply->text, "Hello wörld");
    EXPECT_EQ(reply->usage.calls, posts);
    EXPECT_EQ(post_count(scenario), posts) << scenario;
  }
  expect_error("always_500", ErrorKind::kUnavailable, "loading the model", 3);
  expect_error("never_retry", ErrorKind::kUnavailable, "broken for good", 1);
  expect_error("429_long", ErrorKind::kUnavailable, "come back tomorrow", 1);
}

TEST_F(HttpWorkerTest, OtherErrorsAreNotRetriedAndSayWhy) {
  expect_error("400", ErrorKind::kDenied, "max_tokens is too large");
  expect_error("401", ErrorKind::kDenied, "the API key was refused");
  expect_error("404", ErrorKind::kNotFound, "it has fake-1, fake-2");
  expect_error("redirect", ErrorKind::kDenied, "redirects elsewhere");
  expect_error("endless_error", ErrorKind::kDenied, "status 400");
  expect_error("huge_header", ErrorKind::kInvalid, "larger than");
}

// Whatever came before, a reply that is not whole is no reply: it is asked for again, like a 500.
TEST_F(HttpWorkerTest, BrokenStreamsAreTriedAgainAndThenErrors) {
  expect_error("no_finish", ErrorKind::kUnavailable, "without a finish reason", 3);
  expect_error("done_without_finish", ErrorKind::kUnavailable, "without a finish reason", 3);
  expect_error("cut", ErrorKind::kUnavailable, "the exchange broke", 3);
  expect_error("garbage", ErrorKind::kUnavailable, "not valid JSON", 3);
  expect_error("bad_utf8", ErrorKind::kUnavailable, "not valid JSON", 3);
  expect_error("error_later", ErrorKind::kUnavailable, "CUDA out of memory", 3);
  expect_error("error_first", ErrorKind::kUnavailable, "context is full", 3);
  expect_error("aborted", ErrorKind::kUnavailable, "'abort'", 3);
  expect_error("wrong_type", ErrorKind::kUnavailable, "'text/html'", 3);
  expect_error("cut_json", ErrorKind::kUnavailable, "not valid JSON", 3);
  // Another try would end no better.
  expect_error("huge_line", ErrorKind::kInvalid, "larger than");
  expect_error("error_400", ErrorKind::kUnavailable, "maximum context length");
  expect_error("strange_finish", ErrorKind::kUnavailable, "'bored'");
}

TEST_F(HttpWorkerTest, AnAnswerThatBrokeOffHeals) {
  for (const char* scenario :
       {"no_finish_then_ok", "cut_then_ok", "error_then_ok", "html_then_ok", "cut_json_then_ok"}) {
    const auto reply = ask(config(scenario));
    ASSERT_TRUE(reply) << scenario << reply.error().message;
    EXPECT_EQ(reply->text, "Hello wörld") << "nothing of the broken answer is left";
    EXPECT_EQ(reply->usage.calls, 2);
  }
}

// Who has heard the beginning of an answer must not hear it twice.
TEST_F(HttpWorkerTest, AListenersAnswerIsNotTriedAgain) {
  std::string heard;
  const auto reply =
      ask(config("no_finish_heard"), request(), [&](const Delta& delta) { heard += delta.text; });
  EXPECT_FALSE(reply);
  EXPECT_EQ(heard, "{\"half\": ");
  EXPECT_EQ(post_count("no_finish_heard"), 1);
}

TEST_F(HttpWorkerTest, FieldsThatA400NamesAsUnknownAreLeftOutFromThenOn) {
  Request asked = request();
  asked.sampling.temperature = 0.5;
  asked.sampling.seed = 7;
  asked.max_tokens = 99;
  for (const char* scenario : {"unknown_fields", "unknown_fields_fastapi"}) {
    auto worker = HttpWorker::make(config(scenario));
    for (int i = 0; i < 2; ++i) {
      const auto reply = (*worker)->complete(asked, StopFlag(), nullptr);
      ASSERT_TRUE(reply) << scenario << reply.error().message;
      EXPECT_EQ(reply->usage.calls, i == 0 ? 3 : 1) << scenario;
    }
    const Json body = *parse_json(server_->seen(scenario).back()["body"].get<std::string>());
    EXPECT_FALSE(body.contains("seed"));
    EXPECT_FALSE(body.contains("max_tokens"));
    EXPECT_EQ(body["max_completion_tokens"], 99);
    EXPECT_EQ(body["temperature"], 0.5);
  }
}

TEST(RefusedFields, OnlyWhatIsNamedAndCanBeSpared) {
  const Json request = {{"model", "m"}, {"messages", Json::array()}, {"top_k", 1}, {"seed", 2}};
  const auto named = [&](std::string_view message) {
    return refused_fields(request, dump_json({{"error", {{"message", message}}}}));
  };
  EXPECT_EQ(named("Unrecognized request argument supplied: seed"),
            (std::vector<std::string>{"seed"}));
  EXPECT_EQ(named("unsupported: top_k, seed"), (std::vector<std::string>{"top_k", "seed"}));
  EXPECT_TRUE(named("seed must be below 10").empty()) << "known, but wrong";
  EXPECT_TRUE(named("unknown argument: top_k2").empty());
  EXPECT_TRUE(named("unknown model 'm'; messages not allowed").empty());
  EXPECT_TRUE(refused_fields(request, "").empty());
  EXPECT_EQ(refused_fields(request, R"({"error":{"message":"Unknown parameter","param":"seed"}})"),
            (std::vector<std::string>{"seed"}));
  EXPECT_EQ(refused_fields(request, "unknown field top_k"), (std::vector<std::string>{"top_k"}));
}

// In OpenAI's words; a text alone stays a string, for servers that know no parts.
TEST_F(HttpWorkerTest, PicturesAndSoundsGoAlong) {
  const std::string png = "\x89PNG\r\n\x1a\n0123", wav = "RIFF....WAVE", mp3 = "ID3456789012";
  Request asked = request();
  std::vector<Message>& messages = std::get<Talk>(asked.ask).messages;
  messages[1].content.add(*Media::of_file(png)).add("and").add(*Media::of_file(wav));
  messages.push_back({"user", *Media::of_file(mp3)});
  ASSERT_TRUE(ask(config("ok_with_media"), asked));
  const Json body = *parse_json(server_->seen("ok_with_media").back()["body"].get<std::string>());
  EXPECT_EQ(body["messages"][0]["content"], "be brief");
  const Json expected = {
      {{"type", "text"}, {"text", "hellö"}},
      {{"type", "image_url"}, {"image_url", {{"url", "data:image/png;base64," + to_base64(png)}}}},
      {{"type", "text"}, {"text", "and"}},
      {{"type", "input_audio"}, {"input_audio", {{"data", to_base64(wav)}, {"format", "wav"}}}}};
  EXPECT_EQ(body["messages"][1]["content"], expected);
  EXPECT_EQ(body["messages"][2]["content"][0]["input_audio"]["format"], "mp3");
}

TEST_F(HttpWorkerTest, OnlyTalksAreSent) {
  Request asked = request();
  asked.ask = TextPrompt{"def f(xs):"};
  const auto reply = ask(config("ok_text"), asked);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(reply.error().message, HasSubstr("coder=FILE.gguf"));
  EXPECT_EQ(post_count("ok_text"), 0);
}

// A prediction may be billed elsewhere: it goes to a lathe only.
TEST_F(HttpWorkerTest, PredictionsGoToALatheOnly) {
  Request asked = request();
  asked.prediction = "the draft";
  asked.keep_prefix = true;
  for (const auto& [scenario, own] : {std::pair{"ok_foreign", false}, {"ok_lathe", true}}) {
    ASSERT_TRUE(ask(config(scenario), asked));
    const Json body = *parse_json(server_->seen(scenario).back()["body"].get<std::string>());
    EXPECT_EQ(body.contains("prediction"), own) << scenario;
    EXPECT_EQ(body.contains("prompt_cache_retention"), own) << scenario;
  }
  EXPECT_FALSE(request_json(asked, "m", PeerKind::kCloud).contains("prediction"));
}

TEST_F(HttpWorkerTest, AnAnswerInOnePieceIsAnAnswer) {
  const auto reply = ask(config("in_one_piece"));
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text, "Hello");
  EXPECT_EQ(reply->usage.prompt_tokens, 12);
  ASSERT_EQ(reply->calls.size(), 2U);
  EXPECT_EQ(reply->calls[1].arguments, "{\"b\":2}");
  const auto text = ask(config("stream_called_text"));
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->text, "Hello wörld");
}

TEST_F(HttpWorkerTest, ThinkingInTheTextIsSplitOff) {
  std::string text, thought;
  const auto reply = ask(config("thinks"), request(), [&](const Delta& delta) {
    text += delta.text;
    thought += delta.reasoning;
  });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->text, "the answer");
  EXPECT_EQ(reply->reasoning, "FILE: no");
  EXPECT_EQ(text, reply->text);
  EXPECT_EQ(thought, reply->reasoning);
  const auto opened = ask(config("thinks_from_the_prompt"));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->text, "the answer");
  EXPECT_EQ(opened->reasoning, "so it is\n");
}

TEST_F(HttpWorkerTest, ReadyAsksWithoutACall) {
  const auto ready = [&](std::string_view scenario, std::string url = {}) {
    HttpWorkerConfig settings = config(scenario);
    if (!url.empty()) settings.base_url = url;
    return (*HttpWorker::make(std::move(settings)))->ready(StopFlag());
  };
  EXPECT_TRUE(ready("ok_ready"));
  EXPECT_EQ(post_count("ok_ready"), 0);
  EXPECT_TRUE(ready("models_none")) << "not every endpoint lists its models";
  EXPECT_EQ(ready("models_401").error().kind, ErrorKind::kDenied);
  EXPECT_EQ(ready("", "http://127.0.0.1:1").error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(ready("", "http://10.1.2.3").error().kind, ErrorKind::kDenied);
}

TEST_F(HttpWorkerTest, TheServerSaysHowMuchAModelTakes) {
  const auto context = [&](std::string_view scenario, std::int64_t said = 0,
                           std::string model = "fake-1") {
    HttpWorkerConfig settings = config(scenario);
    settings.model = std::move(model);
    settings.context = said;
    const auto worker = *HttpWorker::make(std::move(settings));
    EXPECT_EQ(worker->context(), said) << "nobody was asked yet";
    EXPECT_TRUE(worker->ready(StopFlag()));
    return worker->context();
  };
  EXPECT_EQ(context("says_length"), 4096);
  EXPECT_EQ(context("says_meta"), 2048);
  EXPECT_EQ(context("says_meta", 100), 100) << "a person knows better";
  EXPECT_EQ(context("says_length", 0, "other"), 0);
  EXPECT_EQ(context("ok_ready"), 0);
  EXPECT_EQ(context("models_none"), 0);
}

TEST_F(HttpWorkerTest, PlainStreams) {
  const auto bare = ask(config("no_type"));
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(bare->text, "bare");
  EXPECT_FALSE(bare->usage.counted);
  EXPECT_EQ(ask(config("length"))->finish, FinishReason::kLength);
  const auto logprobs = ask(config("logprobs"))->logprobs;
  ASSERT_EQ(logprobs.size(), 1U);
  EXPECT_EQ(logprobs[0].token, "yes");
  EXPECT_EQ(logprobs[0].top.at(1), std::pair(std::string("no"), -2.5));
}

TEST_F(HttpWorkerTest, TimeLimits) {
  HttpWorkerConfig idle = config("hang");
  idle.idle_limit = Milliseconds(200);
  const auto silent = ask(idle);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().kind, ErrorKind::kTimeout);
  EXPECT_THAT(silent.error().message, HasSubstr("silent for 200 ms"));
  EXPECT_EQ(post_count("hang"), 1);

  idle = config("hang_later");
  idle.idle_limit = Milliseconds(200);
  EXPECT_EQ(ask(idle).error().kind, ErrorKind::kTimeout);

  Request asked = request();
  asked.time_limit = Milliseconds(300);
  const auto slow = ask(config("drip"), asked);
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().kind, ErrorKind::kTimeout);
  EXPECT_THAT(slow.error().message, HasSubstr("no full answer within"));
}

TEST_F(HttpWorkerTest, AStopFlagCancels) {
  auto worker = HttpWorker::make(config("drip"));
  StopFlag stop;
  int deltas = 0;
  const auto reply = (*worker)->complete(request(), stop, [&](const Delta&) {
    if (++deltas == 3) stop.raise();
  });
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kCancelled);

  StopFlag later;
  auto silent = HttpWorker::make(config("hang"));
  std::jthread raiser([&] {
    std::this_thread::sleep_for(Milliseconds(150));
    later.raise();
  });
  const Milliseconds start = system_clock().monotonic();
  EXPECT_EQ((*silent)->complete(request(), later, nullptr).error().kind, ErrorKind::kCancelled);
  EXPECT_LT((system_clock().monotonic() - start).count(), 10'000) << "the server hangs for 30 s";
}

TEST_F(HttpWorkerTest, NobodyThere) {
  HttpWorkerConfig settings = config("ok");
  settings.base_url = "http://127.0.0.1:1";
  const auto reply = ask(settings);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(reply.error().message,
              AllOf(HasSubstr("http://127.0.0.1:1/v1"), HasSubstr("start the server"),
                    HasSubstr("tried 3 times")));
}

TEST_F(HttpWorkerTest, TheServedModelIsFoundOut) {
  HttpWorkerConfig settings = config("one_model");
  settings.model.clear();
  const auto reply = ask(settings);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(parse_json(server_->seen("one_model").at(1)["body"].get<std::string>())->at("model"),
            "fake-1");
  settings.base_url = server_->url("many_models");
  const auto many = ask(settings);
  ASSERT_FALSE(many);
  EXPECT_THAT(many.error().message, AllOf(HasSubstr("serves 2 models"), HasSubstr("fake-2")));
  EXPECT_FALSE(ask(config("models_none")));
}

TEST_F(HttpWorkerTest, NothingLeavesBeyondWhatIsAllowed) {
  bool shown = false;
  for (const auto& [url, allowed] : {std::pair{"https://api.example.com/v1", Reach::kLocal},
                                     {"https://api.example.com/v1", Reach::kLan},
                                     {"http://10.1.2.3:8000", Reach::kLocal},
                                     {"http://spark.local:8000", Reach::kLocal}}) {
    HttpWorkerConfig settings = config("ok");
    settings.base_url = url;
    settings.allowed = allowed;
    settings.on_outgoing = [&](std::string_view) { shown = true; };
    const auto reply = ask(settings);
    ASSERT_FALSE(reply) << url;
    EXPECT_EQ(reply.error().kind, ErrorKind::kDenied);
    EXPECT_THAT(reply.error().message, AllOf(HasSubstr("privacy ="), HasSubstr("--allow")));
  }
  EXPECT_FALSE(shown);
}

// Below the check of the name: the address of the socket itself.
TEST_F(HttpWorkerTest, AnAddressBeyondWhatIsAllowedIsNotConnectedTo) {
  for (const char* url : {"http://192.0.2.1/v1", "http://10.1.2.3/v1", "http://[2001:db8::1]/v1",
                          "http://[::ffff:192.0.2.1]/v1"}) {
    const auto answer =
        http_call({.url = url, .body = "{}", .headers = {}, .allowed = Reach::kLocal}, StopFlag());
    ASSERT_FALSE(answer) << url;
    EXPECT_EQ(answer.error().kind, ErrorKind::kDenied) << answer.error().message;
  }
}

TEST_F(HttpWorkerTest, SaysHowFarItsPromptsMayTravel) {
  HttpWorkerConfig settings = config("ok");
  settings.holds_beyond = true;
  ASSERT_TRUE(ask(settings));
  EXPECT_EQ(server_->seen("ok").back()["headers"][kReachHeader], "local");
  settings.allowed = Reach::kLan;
  ASSERT_TRUE(ask(settings));
  EXPECT_EQ(server_->seen("ok").back()["headers"][kReachHeader], "lan");
}

TEST_F(HttpWorkerTest, AModelThatOllamaAsksItsCloudForIsNotAsked) {
  HttpWorkerConfig settings = config("ok");
  settings.holds_beyond = true;
  for (const char* model : {"gpt-oss:120b-cloud", "glm-4.6:cloud"}) {
    settings.model = model;
    const auto reply = ask(settings);
    ASSERT_FALSE(reply) << model;
    EXPECT_EQ(reply.error().kind, ErrorKind::kDenied) << model;
    EXPECT_THAT(reply.error().message, HasSubstr(model));
  }
  for (const char* model : {"cloud", "storm-cloud", "llama:8b", "llama:cloudy"}) {
    settings.model = model;
    EXPECT_TRUE(ask(settings)) << model;
  }
  settings.allowed = Reach::kAny;
  settings.model = "gpt-oss:120b-cloud";
  EXPECT_FALSE(ask(settings)) << "nobody can be asked";
  settings.consent = [](const CloudBody&, const StopFlag&) {
    return Result<std::string>("a test");
  };
  EXPECT_TRUE(ask(settings));
}

TEST_F(HttpWorkerTest, TheEnvironmentDecidesNothing) {
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"})
    ::setenv(name, "http://127.0.0.1:1", 1);
  HttpWorkerConfig settings = config("ok");
  settings.api_key.clear();
  const auto reply = ask(settings);
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_FALSE(server_->seen("ok").back()["headers"].contains("Authorization"));
}

TEST(HttpWorkerMake, BadConfigurations) {
  EXPECT_FALSE(HttpWorker::make({.name = "a", .base_url = "", .model = "", .api_key = ""}));
  EXPECT_FALSE(HttpWorker::make(
      {.name = "a", .base_url = "http://h", .model = "", .api_key = "x\r\nEvil: 1"}));
  const auto worker =
      HttpWorker::make({.name = "a", .base_url = "http://10.0.0.1", .model = "m", .api_key = ""});
  ASSERT_TRUE(worker);
  EXPECT_EQ((*worker)->info().reach, Reach::kLan);
  EXPECT_EQ((*worker)->info().where, "http://10.0.0.1/v1");
}

}  // namespace
}  // namespace lathe::serve
