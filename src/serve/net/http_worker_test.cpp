// Calls to a server that streams, breaks off, refuses and lies: what is retried, what is said,
// what leaves.
#include "serve/net/http_worker.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "ground/base/hash.h"
#include "ground/base/text.h"
#include "serve/net/forwarded.h"

namespace lathe::serve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kKey = "sk-very-secret";

// tests/fakes/openai_server.py, once for all tests. It ends with the pipe to its standard input.
class FakeServer {
 public:
  FakeServer() {
    std::array<int, 2> in{}, out{};
    if (::pipe(in.data()) != 0 || ::pipe(out.data()) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      for (const int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
      ::execlp("python3", "python3", LATHE_SOURCE_DIR "/tests/fakes/openai_server.py", nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    keep_alive_ = in[1];
    FILE* reader = ::fdopen(out[0], "r");
    if (std::fscanf(reader, "%d", &port_) != 1) port_ = 0;
    std::fclose(reader);
  }
  ~FakeServer() {
    ::close(keep_alive_);
    ::waitpid(pid_, nullptr, 0);
  }
  std::string url(std::string_view scenario) const {
    return fmt::format("http://127.0.0.1:{}/{}/v1", port_, scenario);
  }
  Json seen(std::string_view scenario) const {
    const auto answer =
        http_call({.url = fmt::format("http://127.0.0.1:{}/{}/seen", port_, scenario),
                   .body = {},
                   .headers = {}},
                  StopFlag());
    return answer ? *parse_json(answer->body) : Json();
  }

 private:
  pid_t pid_ = -1;
  int port_ = 0;
  int keep_alive_ = -1;
};

class HttpWorkerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new FakeServer; }
  static void TearDownTestSuite() { delete server_; }

  static HttpWorkerConfig config(std::string_view scenario) {
    HttpWorkerConfig config;
    config.name = "coder";
    config.base_url = server_->url(scenario);
    config.model = "fake-1";
    config.api_key = kKey;
    config.retry_delay = Milliseconds(10);
    return config;
  }
  static Request request() {
    Request request;
    request.ask = Talk{{{"system", "be brief"}, {"user", "hellö"}}};
    request.time_limit = Milliseconds(20'000);
    return request;
  }
  static Result<Reply> ask(HttpWorkerConfig config, const Request& asked = request(),
                           const std::function<void(const Delta&)>& on_delta = nullptr) {
    LATHE_TRY(auto worker, HttpWorker::make(std::move(config)));
    const StopFlag stop;
    auto reply = worker->complete(asked, stop, on_delta);
    if (!reply) {
      EXPECT_THAT(reply.error().message, Not(HasSubstr(kKey)));
      EXPECT_THAT(reply.error().message, HasSubstr("worker coder"));
    }
    return reply;
  }
  static void expect_error(std::string_view scenario, ErrorKind kind, std::string_view words,
                           int posts = 1) {
    const auto reply = ask(config(scenario));
    ASSERT_FALSE(reply) << scenario;
    EXPECT_EQ(reply.error().kind, kind) << scenario << ": " << reply.error().message;
    EXPECT_THAT(reply.error().message, HasSubstr(std::string(words)));
    EXPECT_EQ(post_count(scenario), posts) << scenario;
  }
  static int post_count(std::string_view scenario) {
    int posts = 0;
    for (const Json& each : server_->seen(scenario)) posts += each["method"] == "POST";
    return posts;
  }

  static FakeServer* server_;
};
FakeServer* HttpWorkerTest::server_ = nullptr;

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

class PictureWorkerTest : public HttpWorkerTest {
 protected:
  static PictureRequest wanted() {
    PictureRequest wanted;
    wanted.prompt = "a lighthöuse";
    wanted.width = 1280;
    wanted.height = 720;
    wanted.seed = 2001;
    wanted.labels = {{"purpose", "make"}};
    wanted.time_limit = Milliseconds(60'000);
    return wanted;
  }
  static Result<Painted> paint(HttpWorkerConfig config, const PictureRequest& asked = wanted()) {
    LATHE_TRY(auto worker, HttpWorker::make(std::move(config)));
    const StopFlag stop;
    auto painted = worker->paint(asked, stop);
    if (!painted) {
      EXPECT_THAT(painted.error().message, AllOf(HasSubstr("worker coder"), Not(HasSubstr(kKey))));
    }
    return painted;
  }
  static Json body_of_last(std::string_view scenario) {
    return *parse_json(server_->seen(scenario).back()["body"].get<std::string>());
  }
};

TEST_F(PictureWorkerTest, IsAskedForBytes) {
  HttpWorkerConfig settings = config("picture");
  std::string outgoing;
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  const auto painted = paint(settings);
  ASSERT_TRUE(painted) << painted.error().message;
  EXPECT_EQ(painted->picture.media_type, "image/png");
  EXPECT_TRUE(painted->picture.bytes->starts_with("\x89PNG"));
  EXPECT_EQ(painted->model, "fake-1");
  EXPECT_EQ(painted->usage.calls, 1);
  EXPECT_FALSE(painted->usage.counted);
  const Json seen = server_->seen("picture").back();
  EXPECT_EQ(seen["path"], "/v1/images/generations");
  EXPECT_EQ(seen["headers"]["Authorization"], std::string("Bearer ") + kKey);
  const Json expected = {{"model", "fake-1"},
                         {"prompt", "a lighthöuse"},
                         {"n", 1},
                         {"response_format", "b64_json"},
                         {"size", "1280x720"},
                         {"seed", 2001}};
  EXPECT_EQ(body_of_last("picture"), expected);
  EXPECT_EQ(seen["body"], outgoing) << "exactly what leaves is shown";

  const auto counted = paint(config("picture_usage"));
  ASSERT_TRUE(counted);
  EXPECT_TRUE(counted->usage.counted);
  EXPECT_EQ(counted->usage.completion_tokens, 1056);
}

TEST_F(PictureWorkerTest, AChangeIsAFormWithPictureAndMask) {
  PictureRequest asked = wanted();
  asked.picture = "\xff\xd8\xff jpeg\r\n--lathe";
  asked.mask = std::string("\x89PNG\0 mask", 11);
  HttpWorkerConfig settings = config("picture");
  std::string outgoing;
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  ASSERT_TRUE(paint(settings, asked));
  EXPECT_EQ(server_->seen("picture").back()["path"], "/v1/images/edits");
  const Json body = body_of_last("picture");
  EXPECT_EQ(body["prompt"], "a lighthöuse");
  EXPECT_EQ(body["seed"], "2001");
  EXPECT_EQ(body["size"], "1280x720");
  const Json image = {
      {"file", "image.jpg"}, {"type", "image/jpeg"}, {"sha256", sha256_hex(asked.picture)}};
  const Json mask = {
      {"file", "mask.png"}, {"type", "image/png"}, {"sha256", sha256_hex(asked.mask)}};
  EXPECT_EQ(body["image"], image);
  EXPECT_EQ(body["mask"], mask);
  EXPECT_THAT(outgoing, AllOf(HasSubstr(sha256_hex(asked.picture)), Not(HasSubstr("jpeg\r\n"))));

  const auto none = paint(config("picture_no_edits"), asked);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, kChangesNoPictures);
  EXPECT_TRUE(paint(config("picture_no_edits")));
}

TEST_F(PictureWorkerTest, SeedsAndFieldsGoWhereTheyAreKnown) {
  HttpWorkerConfig settings = config("picture_unknown_fields");
  ASSERT_TRUE(paint(settings));
  const Json body = body_of_last("picture_unknown_fields");
  EXPECT_FALSE(body.contains("seed") || body.contains("response_format"));
  EXPECT_TRUE(body.contains("size"));
  // stable-diffusion.cpp reads it from the prompt.
  settings = config("picture");
  settings.model = "sd-cpp-local";
  ASSERT_TRUE(paint(settings));
  EXPECT_EQ(body_of_last("picture")["prompt"],
            "<sd_cpp_extra_args>{\"seed\":2001}</sd_cpp_extra_args>a lighthöuse");
}

TEST_F(PictureWorkerTest, AUrlIsFollowedToTheServerItselfAlone) {
  for (const char* own : {"picture_own_url", "picture_own_path"}) {
    const auto painted = paint(config(own));
    ASSERT_TRUE(painted) << painted.error().message;
    EXPECT_TRUE(painted->picture.bytes->starts_with("\x89PNG")) << own;
    EXPECT_EQ(server_->seen(own).back()["headers"]["Authorization"], std::string("Bearer ") + kKey);
  }
  for (const char* other : {"picture_url_elsewhere", "picture_url_other_port", "picture_url_file",
                            "picture_url_sends_on", "picture_redirect"}) {
    HttpWorkerConfig settings = config(other);
    const auto painted = paint(settings);
    ASSERT_FALSE(painted) << other;
    EXPECT_EQ(painted.error().kind, ErrorKind::kDenied) << painted.error().message;
    EXPECT_THAT(painted.error().message, Not(HasSubstr("secret")));
  }
  EXPECT_THAT(paint(config("picture_url_elsewhere")).error().message, HasSubstr("b64_json"));
}

TEST_F(PictureWorkerTest, ARefusalIsNoFailure) {
  for (const char* scenario : {"picture_refused", "picture_refused_in_words"}) {
    const auto painted = paint(config(scenario));
    ASSERT_FALSE(painted);
    EXPECT_EQ(painted.error().kind, ErrorKind::kInvalid) << painted.error().message;
    EXPECT_EQ(painted.error().code, kContentRefused);
    EXPECT_EQ(post_count(scenario), 1);
  }
  EXPECT_THAT(paint(config("picture_refused")).error().message,
              AllOf(HasSubstr("its rules forbid"), HasSubstr("Your request was rejected")));
}

TEST_F(PictureWorkerTest, FaultsSayWhatIsWrong) {
  const auto expect = [](const char* scenario, ErrorKind kind, const char* words) {
    const auto painted = paint(config(scenario));
    ASSERT_FALSE(painted) << scenario;
    EXPECT_EQ(painted.error().kind, kind) << scenario << ": " << painted.error().message;
    EXPECT_EQ(painted.error().code, "");
    EXPECT_THAT(painted.error().message, HasSubstr(words)) << scenario;
  };
  expect("picture_wrong_size", ErrorKind::kDenied, "Supported values are");
  expect("picture_garbled", ErrorKind::kInvalid, "its picture");
  expect("picture_is_text", ErrorKind::kInvalid, "no picture");
  expect("picture_none", ErrorKind::kInvalid, "holds no picture");
  expect("picture_empty", ErrorKind::kInvalid, "neither 'b64_json' nor 'url'");
  expect("picture_page", ErrorKind::kInvalid, "its answer");
  expect("picture_cut", ErrorKind::kUnavailable, "broke");
  expect("picture_huge", ErrorKind::kInvalid, "larger than");
  expect("picture_500", ErrorKind::kUnavailable, "loading the model");
  PictureRequest brief = wanted();
  brief.time_limit = Milliseconds(300);
  EXPECT_EQ(paint(config("picture_hang"), brief).error().kind, ErrorKind::kTimeout);
}

TEST_F(PictureWorkerTest, NothingLeavesBeyondWhatIsAllowed) {
  HttpWorkerConfig settings = config("picture");
  settings.base_url = "http://192.0.2.1/v1";
  EXPECT_EQ(paint(settings).error().kind, ErrorKind::kDenied);
  // A cloud by its word: without a consent nothing is sent there.
  settings = config("picture_cloud");
  settings.cloud = true;
  settings.allowed = Reach::kAny;
  EXPECT_EQ(paint(settings).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(post_count("picture_cloud"), 0);
}

class SpeechWorkerTest : public HttpWorkerTest {
 protected:
  static SpeechRequest said() {
    SpeechRequest said;
    said.text = "the stöne";
    said.voice = "alloy";
    said.language = "english";
    said.seed = 2001;
    said.labels = {{"purpose", "make"}};
    said.time_limit = Milliseconds(60'000);
    return said;
  }
  static Result<SpokenFile> speak(HttpWorkerConfig config, const SpeechRequest& asked = said()) {
    config.retry_delay = Milliseconds(1);
    LATHE_TRY(auto worker, HttpWorker::make(std::move(config)));
    const StopFlag stop;
    auto file = worker->speak(asked, stop);
    if (!file) {
      EXPECT_THAT(file.error().message, AllOf(HasSubstr("worker coder"), Not(HasSubstr(kKey))));
    }
    return file;
  }
  static Json body_of_last(std::string_view scenario) {
    return *parse_json(server_->seen(scenario).back()["body"].get<std::string>());
  }
};

TEST_F(SpeechWorkerTest, IsAskedForAWav) {
  HttpWorkerConfig settings = config("speech");
  std::string outgoing;
  settings.on_outgoing = [&](std::string_view text) { outgoing += text; };
  const auto file = speak(settings);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->file.size(), 44U + 44100U);
  EXPECT_EQ(file->raw_rate, 0);
  EXPECT_EQ(file->model, "fake-1");
  EXPECT_EQ(file->usage.calls, 1);
  EXPECT_FALSE(file->usage.counted);
  const Json seen = server_->seen("speech").back();
  EXPECT_EQ(seen["path"], "/v1/audio/speech");
  EXPECT_EQ(seen["headers"]["Authorization"], std::string("Bearer ") + kKey);
  const Json expected = {{"model", "fake-1"}, {"input", "the stöne"},  {"response_format", "wav"},
                         {"voice", "alloy"},  {"language", "english"}, {"seed", 2001}};
  EXPECT_EQ(body_of_last("speech"), expected);
  EXPECT_EQ(seen["body"], outgoing) << "exactly what leaves is shown";
  SpeechRequest plain;
  plain.text = "one";
  plain.speed = 1.25;
  ASSERT_TRUE(speak(settings, plain));
  const Json asked = body_of_last("speech");
  EXPECT_FALSE(asked.contains("voice") || asked.contains("seed") || asked.contains("language"));
  EXPECT_EQ(asked["speed"], 1.25);
}

TEST_F(SpeechWorkerTest, TakesTheFormsThatServersGive) {
  const auto streamed = speak(config("speech_streamed"));
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(speak(config("speech_mp3"))->file, std::string("ID3\4\0 and so on", 15));
  const auto raw = speak(config("speech_pcm"));  // whose samples look like JSON
  ASSERT_TRUE(raw) << raw.error().message;
  EXPECT_EQ(raw->raw_rate, 22050);
  EXPECT_EQ(raw->file.size(), 2000U);
  ASSERT_TRUE(speak(config("speech_unknown_fields")));
  const Json body = body_of_last("speech_unknown_fields");
  EXPECT_FALSE(body.contains("seed") || body.contains("language"));
  EXPECT_TRUE(body.contains("voice"));
}

TEST_F(SpeechWorkerTest, TriesAgainWhatMayPass) {
  const auto busy = speak(config("speech_busy"));
  ASSERT_TRUE(busy) << busy.error().message;
  EXPECT_EQ(busy->usage.calls, 3);
  const auto cut = speak(config("speech_cut_once"));
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_EQ(cut->usage.calls, 2);
  EXPECT_THAT(speak(config("speech_500")).error().message, HasSubstr("tried 3 times"));
  EXPECT_EQ(post_count("speech_500"), 3);
}

TEST_F(SpeechWorkerTest, FaultsSayWhatIsWrong) {
  const auto expect = [](const char* scenario, ErrorKind kind, const char* words) {
    const auto file = speak(config(scenario));
    ASSERT_FALSE(file) << scenario;
    EXPECT_EQ(file.error().kind, kind) << scenario << ": " << file.error().message;
    EXPECT_THAT(file.error().message, AllOf(HasSubstr(words), Not(HasSubstr("secret"))))
        << scenario;
  };
  expect("speech_empty", ErrorKind::kInvalid, "empty sound");
  expect("speech_error", ErrorKind::kInvalid, "the voice is not loaded");
  expect("speech_error_as_wav", ErrorKind::kInvalid, "out of memory");
  expect("speech_page", ErrorKind::kInvalid, "not with a sound");
  expect("speech_url", ErrorKind::kDenied, "nothing is fetched");
  expect("speech_own_url", ErrorKind::kDenied, "nothing is fetched");
  expect("speech_cut", ErrorKind::kUnavailable, "broke");
  expect("speech_short", ErrorKind::kUnavailable, "shorter than its head says");
  expect("speech_half_sample", ErrorKind::kUnavailable, "broke off");
  expect("speech_huge", ErrorKind::kInvalid, "larger than");
  expect("speech_400", ErrorKind::kDenied, "too large");
  expect("speech_redirect", ErrorKind::kDenied, "redirects");
  expect("speech_500", ErrorKind::kUnavailable, "loading the model");
  for (const char* url : {"speech_url", "speech_own_url"})
    EXPECT_EQ(server_->seen(url).back()["method"], "POST") << "it was fetched";
  SpeechRequest brief = said();
  brief.time_limit = Milliseconds(300);
  EXPECT_EQ(speak(config("speech_hang"), brief).error().kind, ErrorKind::kTimeout);
}

TEST_F(SpeechWorkerTest, NothingLeavesBeyondWhatIsAllowed) {
  HttpWorkerConfig settings = config("speech");
  settings.base_url = "http://192.0.2.1/v1";
  EXPECT_EQ(speak(settings).error().kind, ErrorKind::kDenied);
  settings = config("speech_cloud");
  settings.cloud = true;
  settings.allowed = Reach::kAny;
  EXPECT_EQ(speak(settings).error().kind, ErrorKind::kDenied);
  EXPECT_EQ(post_count("speech_cloud"), 0);
  // With one, without what no cloud knows.
  settings.consent = [](const CloudBody&, const StopFlag&) {
    return Result<std::string>("a test");
  };
  ASSERT_TRUE(speak(settings));
  EXPECT_FALSE(body_of_last("speech_cloud").contains("seed"));
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
