// Another server as a host, and several hosts as one: against a real server in this process, whose
// scripted host says what must come through.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/raw_client.h>
#include <testing/requests.h>
#include <testing/scripted_host.h>

#include <future>

#include "ground/base/text.h"
#include "serve/hosts/host_group.h"
#include "serve/hosts/remote_host.h"
#include "serve/server/api_routes.h"
#include "serve/server/server.h"

namespace lathe::serve {
namespace {

using lathe::testing::eventually;
using lathe::testing::RawClient;
using lathe::testing::RawReply;
using lathe::testing::scripted_family;
using lathe::testing::ScriptedHost;
using ::testing::HasSubstr;
using std::chrono_literals::operator""ms;

const std::vector<ScriptedHost::Line> kScript{
    {.when = "!endless", .deltas = {{"on and ", ""}}, .between = 5ms, .endless = true},
    {.when = "!slow", .deltas = {{"late", ""}}, .prefill = 600'000ms},
    {.when = "!think", .deltas = {{"", "Let me see. "}, {"", "Yes."}, {"It is ", ""}, {"so.", ""}}},
    {.when = "!full", .error = Error{ErrorKind::kUnavailable, "8 requests wait", "queue_full"}},
    {.when = "!huge", .error = Error{ErrorKind::kUnavailable, "9 GiB", "does_not_fit"}},
    {.when = "!schema", .error = Error{ErrorKind::kInvalid, "no", "unsupported_schema"}},
    {.when = "!tools", .error = Error{ErrorKind::kInvalid, "no", "unsupported_tools"}},
    {.when = "!grammar", .error = Error{ErrorKind::kInvalid, "no", "unsupported_grammar"}},
    {.when = "!bias", .error = Error{ErrorKind::kInvalid, "no", "unsupported_bias"}},
    {.when = "!suffix", .error = Error{ErrorKind::kInvalid, "no", "unsupported_suffix"}},
    {.when = "!break",
     .deltas = {{"half ", ""}},
     .error = Error{ErrorKind::kUnavailable, "the engine failed"}},
};

HostRequest talk(std::string text) {
  HostRequest request;
  request.ask = Talk{{{"user", std::move(text)}}};
  return request;
}

struct Heard {
  Result<HostReply> reply = std::unexpected(Error());
  Reply deltas;  // put together
};

Heard ask(ModelHost& host, HostRequest request, const std::string& model = "small") {
  Heard heard;
  std::promise<void> over;
  host.submit(
      model, std::move(request),
      [&](const Delta& delta) {
        heard.deltas.text += delta.text;
        heard.deltas.reasoning += delta.reasoning;
        std::ranges::copy(delta.calls, std::back_inserter(heard.deltas.calls));
        std::ranges::copy(delta.logprobs, std::back_inserter(heard.deltas.logprobs));
      },
      [&](Result<std::vector<HostReply>> replies) {
        if (replies)
          heard.reply = std::move(replies->at(0));
        else
          heard.reply = std::unexpected(replies.error());
        over.set_value();
      });
  over.get_future().wait();
  return heard;
}

// What a callback of `start` gets.
template <class Value>
Result<Value> wait_for(const std::function<void(std::function<void(Result<Value>)>)>& start) {
  std::promise<Result<Value>> told;
  start([&](Result<Value> value) { told.set_value(std::move(value)); });
  return told.get_future().get();
}

Json as_json(const Reply& reply) {
  Json json{{"text", reply.text}, {"reasoning", reply.reasoning}};
  for (const FunctionCall& call : reply.calls)
    json["calls"].push_back({call.id, call.name, call.arguments});
  for (const LogprobEntry& entry : reply.logprobs) {
    Json row{entry.token, entry.logprob};
    for (const auto& [token, value] : entry.top) row.push_back({token, value});
    json["logprobs"].push_back(std::move(row));
  }
  return json;
}

class Box : public ::testing::Test {
 protected:
  void SetUp() override { start(); }

  void start(std::uint16_t port = 0, std::vector<std::string> keys = {}) {
    ServerConfig config;
    config.addresses = {"127.0.0.1"};
    config.port = port;
    config.api_keys = std::move(keys);
    auto started = Server::start(std::move(config), std::vector{api_routes(far)});
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }

  std::unique_ptr<RemoteHost> open(std::string key = "") {
    RemoteHostConfig config{.name = "box",
                            .url = fmt::format("http://127.0.0.1:{}", server->port()),
                            .api_key = std::move(key),
                            .look_again = 20ms,
                            .log = [this](const std::string& line) {
                              const std::lock_guard lock(mutex);
                              log.push_back(line);
                            }};
    auto host = RemoteHost::open(std::move(config));
    EXPECT_TRUE(host) << host.error().message;
    return std::move(*host);
  }

  std::vector<std::string> logged() {
    const std::lock_guard lock(mutex);
    return log;
  }

  ScriptedHost far{scripted_family(), kScript};
  std::unique_ptr<Server> server;
  std::mutex mutex;
  std::vector<std::string> log;
};

TEST_F(Box, TellsOfItsModelsWhatTheServerDoes) {
  const auto box = open();
  const std::vector<ModelInfo> there = far.status().models, here = box->status().models;
  ASSERT_EQ(here.size(), there.size());
  for (std::size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].name, there[i].name);
    EXPECT_EQ(here[i].aliases, there[i].aliases);
    EXPECT_EQ(here[i].architecture, there[i].architecture);
    EXPECT_EQ(here[i].quantization, there[i].quantization);
    EXPECT_EQ(here[i].file_bytes, there[i].file_bytes);
    EXPECT_EQ(here[i].parameters, there[i].parameters);
    EXPECT_EQ(here[i].modified, there[i].modified);
    EXPECT_EQ(here[i].context, there[i].context);
    EXPECT_EQ(here[i].trained_context, there[i].trained_context);
    EXPECT_EQ(here[i].embedding, there[i].embedding);
    EXPECT_EQ(here[i].state, there[i].state);
  }
  EXPECT_EQ(box->find("tiny").value(), "small");
  EXPECT_EQ(box->find("none").error().code, "model_not_found");
  // Which adapters there are is asked there.
  EXPECT_EQ(box->find("small+mine").value(), "small+mine");
  EXPECT_FALSE(box->find("none+mine"));
}

// The same request here and there: the same reply, and deltas that are that reply.
TEST_F(Box, AnswersAreThoseOfTheServer) {
  const auto box = open();
  std::vector<HostRequest> requests{talk("hello box, how are you"),
                                    talk("!think"),
                                    talk("call them"),
                                    talk("call one"),
                                    talk("an object"),
                                    talk("with numbers"),
                                    talk("cut after two words")};
  for (const int i : {2, 3})
    talk_of(requests[static_cast<std::size_t>(i)]).tools = {
        {.name = "weather", .parameters = {{"type", "object"}}}};
  talk_of(requests[3]).parallel_calls = false;
  requests[4].form = SchemaForm{{{"type", "object"}}, true};
  requests[5].top_logprobs = 2;
  requests[5].sampling.seed = 7;
  requests[6].max_tokens = 2;
  requests.emplace_back().ask = TextPrompt{"a text that goes on", "to its end"};
  requests.back().top_logprobs = 1;
  requests.emplace_back().ask = TokenPrompt{{'i', 'd', 's'}};
  requests.push_back(talk("warn me"));
  requests.push_back(talk("look"));
  talk_of(requests.back())
      .messages[0]
      .content.add(*Media::of_file("\x89PNG\r\n\x1a\n0123"))
      .add("and hear")
      .add(*Media::of_file("RIFF....WAVE"));
  requests.push_back(talk("!think"));
  requests.back().top_logprobs = 0;
  for (std::size_t asked = 0; asked < requests.size(); ++asked) {
    const HostRequest& request = requests[asked];
    const Heard direct = ask(far, request), remote = ask(*box, request);
    ASSERT_TRUE(direct.reply) << asked;
    ASSERT_TRUE(remote.reply) << asked << remote.reply.error().message;
    EXPECT_EQ(as_json(*remote.reply), as_json(*direct.reply)) << asked;
    EXPECT_EQ(as_json(remote.deltas), as_json(*direct.reply)) << asked;
    EXPECT_EQ(remote.reply->finish, direct.reply->finish) << asked;
    // A stream of a text does not tell its seed.
    EXPECT_EQ(remote.reply->seed, request.talk() ? direct.reply->seed : std::nullopt);
    EXPECT_EQ(remote.reply->warnings, direct.reply->warnings) << asked;
    EXPECT_EQ(remote.reply->usage.prompt_tokens, direct.reply->usage.prompt_tokens) << asked;
    EXPECT_EQ(remote.reply->usage.cached_tokens, direct.reply->usage.cached_tokens) << asked;
    EXPECT_EQ(remote.reply->usage.completion_tokens, direct.reply->usage.completion_tokens);
  }
  // And what arrived there is what was asked.
  const std::vector<HostRequest> seen = far.seen();
  ASSERT_EQ(seen.size(), 2 * requests.size());
  for (std::size_t i = 0; i < seen.size(); i += 2) {
    EXPECT_EQ(seen[i + 1].ask, seen[i].ask) << i;
    EXPECT_EQ(seen[i + 1].form, seen[i].form) << i;
    EXPECT_EQ(seen[i + 1].max_tokens, seen[i].max_tokens);
    EXPECT_EQ(seen[i + 1].sampling.seed, seen[i].sampling.seed);
  }
}

TEST_F(Box, ErrorsKeepTheirCodes) {
  const auto box = open();
  for (const char* text : {"!full", "!huge", "!schema", "!tools", "!grammar", "!bias"}) {
    const Heard direct = ask(far, talk(text)), remote = ask(*box, talk(text));
    ASSERT_FALSE(remote.reply) << text;
    EXPECT_EQ(remote.reply.error().code, direct.reply.error().code);
    EXPECT_EQ(remote.reply.error().kind, direct.reply.error().kind) << text;
    EXPECT_THAT(remote.reply.error().message, HasSubstr(direct.reply.error().message));
    EXPECT_THAT(remote.reply.error().message, HasSubstr("box")) << "who says it";
  }
  EXPECT_EQ(ask(*box, talk(std::string(5000, 'x'))).reply.error().code, "context_length_exceeded");
  EXPECT_EQ(ask(*box, talk("hello"), "none").reply.error().code, "model_not_found");
  const Heard broken = ask(*box, talk("!break"));
  EXPECT_EQ(broken.deltas.text, "half ");
  EXPECT_THAT(broken.reply.error().message, HasSubstr("the engine failed"));
}

TEST_F(Box, WhatCannotBeAskedThereIsRefusedHere) {
  const auto box = open();
  HostRequest two = talk("hello");
  two.candidates = 2;
  EXPECT_EQ(ask(*box, two).reply.error().code, "unsupported_candidates");
  HostRequest echoed;
  echoed.ask = TextPrompt{"hello"};
  echoed.prompt_logprobs = true;
  EXPECT_EQ(ask(*box, echoed).reply.error().code, "unsupported_value");
  EXPECT_TRUE(far.seen().empty());
}

TEST_F(Box, ACancelledRequestEndsThereToo) {
  const auto box = open();
  for (const char* text : {"!endless", "!slow"}) {
    const int before = far.cancelled();
    std::promise<Result<std::vector<HostReply>>> told;
    const ModelHost::Id id = box->submit(
        "small", talk(text), [](const Delta&) {},
        [&](Result<std::vector<HostReply>> replies) { told.set_value(std::move(replies)); });
    ASSERT_TRUE(eventually([&] { return far.running() == 1; })) << text;
    EXPECT_EQ(box->status().models.at(1).running, 1);
    box->cancel(id);
    const auto replies = told.get_future().get();
    ASSERT_FALSE(replies);
    EXPECT_EQ(replies.error().kind, ErrorKind::kCancelled);
    EXPECT_TRUE(eventually([&] { return far.cancelled() == before + 1; })) << text;
    EXPECT_TRUE(eventually([&] { return far.running() == 0; })) << text;
    box->cancel(id);  // it has ended: nothing
  }
  EXPECT_EQ(box->status().counters.cancelled, 2);
}

// Its end is the end of what is under way: everybody is told.
TEST_F(Box, ItsEndCancelsWhatIsUnderWay) {
  auto box = open();
  std::promise<Result<std::vector<HostReply>>> told;
  box->submit(
      "small", talk("!slow"), [](const Delta&) {},
      [&](Result<std::vector<HostReply>> replies) { told.set_value(std::move(replies)); });
  ASSERT_TRUE(eventually([&] { return far.running() == 1; }));
  box.reset();
  EXPECT_EQ(told.get_future().get().error().kind, ErrorKind::kCancelled);
}

TEST_F(Box, TokensAndVectorsAreThoseOfTheServer) {
  const auto box = open();
  using Ids = std::vector<std::int32_t>;
  const auto tokens = [](ModelHost& host, bool special) {
    return wait_for<Ids>([&](auto done) { host.tokenize("small", "Wörter", special, true, done); });
  };
  for (const bool special : {false, true})
    EXPECT_EQ(tokens(*box, special).value(), tokens(far, special).value());
  const auto prompt = [](ModelHost& host) {
    return wait_for<Ids>([&](auto done) { host.prompt_of("small", talk("hello"), done); });
  };
  EXPECT_EQ(prompt(*box).value(), prompt(far).value());
  EXPECT_EQ(box->detokenize("small", {'a', 'b'}, false).value(), "ab");
  EXPECT_FALSE(box->detokenize("small", {-5}, false));
  const auto vectors = [](ModelHost& host, std::vector<TextInput> inputs, bool cut) {
    return wait_for<Embeddings>([&](auto done) { host.embed("small", inputs, cut, {}, done); });
  };
  for (const bool cut : {false, true}) {
    const std::vector<TextInput> inputs{{"one", {}}, {"", {1, 2, 3, 4}}};
    const auto here = vectors(*box, inputs, cut), there = vectors(far, inputs, cut);
    ASSERT_TRUE(here) << here.error().message;
    EXPECT_EQ(here->vectors, there->vectors);
    EXPECT_EQ(here->usage.prompt_tokens, there->usage.prompt_tokens);
  }
  const std::vector<TextInput> large{{std::string(5000, 'x'), {}}};
  EXPECT_EQ(vectors(*box, large, false).error().code, "context_length_exceeded");
  EXPECT_EQ(vectors(*box, large, true)->vectors, vectors(far, large, true)->vectors);
  EXPECT_EQ(vectors(*box, large, true)->cut, 1U);
}

TEST_F(Box, TranscriptsAreThoseOfTheServer) {
  const auto box = open();
  TranscriptOptions options;
  options.words = true;
  options.temperature = 0.25;
  options.language = "en";
  options.prompt = "a \"prompt\"\r\n--lathe";
  std::string pieces;
  const auto write_down = [&](ModelHost& host, std::string_view sound) {
    pieces.clear();
    return wait_for<Transcription>([&](auto done) {
      host.transcribe(
          "small", {sound, nullptr, options}, {},
          [&](const TranscriptSegment& segment) { pieces += segment.text; }, done);
    });
  };
  const std::string sound = "one two\r\n--three four";
  const auto there = write_down(*box, sound);
  EXPECT_EQ(pieces, sound);
  const auto here = write_down(far, sound);
  ASSERT_TRUE(here && there);
  EXPECT_EQ(to_json(there->transcript), to_json(here->transcript));
  EXPECT_EQ(there->usage.prompt_tokens, here->usage.prompt_tokens);
  EXPECT_EQ(there->usage.completion_tokens, here->usage.completion_tokens);
  EXPECT_EQ(write_down(*box, "bad").error().code, "unsupported_sound");
}

// Cut anywhere; a sound that breaks off, or that another than a server of sounds sends, is none.
TEST(SpokenThere, SamplesComeAsTheyAreAndTheirEndIsSaid) {
  std::vector<std::int16_t> heard;
  const auto of = [&](const std::vector<std::string>& events) -> Result<Speech> {
    heard.clear();
    SpeechStream stream([&](std::span<const std::int16_t> more) {
      heard.insert(heard.end(), more.begin(), more.end());
    });
    for (const std::string& event : events) LATHE_TRY_STATUS(stream.event(event));
    return std::move(stream).finish();
  };
  const std::string done =
      R"({"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 2}})";
  const auto delta = [](std::string_view bytes) {
    return dump_json({{"type", "speech.audio.delta"}, {"audio", to_base64(bytes)}});
  };
  const auto whole = of({delta("\x01\x02\xff"), delta(""), delta("\xff"), done});
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(heard, (std::vector<std::int16_t>{0x201, -1}));
  EXPECT_TRUE(whole->ended);
  EXPECT_EQ(whole->usage.prompt_tokens, 3);
  EXPECT_EQ(whole->usage.completion_tokens, 2);
  EXPECT_TRUE(whole->usage.counted);
  EXPECT_THAT(of({delta("ab")}).error().message, HasSubstr("cut off after 0.0 s"));
  EXPECT_THAT(of({delta("abc"), done}).error().message, HasSubstr("cut off"));
  EXPECT_THAT(of({delta("ab"), R"({"error": {"message": "it broke"}})"}).error().message,
              HasSubstr("it broke"));
  EXPECT_FALSE(of({"no json"}));
  EXPECT_FALSE(of({R"({"type": "speech.audio.delta", "audio": "!!"})", done}));
}

TEST_F(Box, LoadsAndUnloadsThere) {
  const auto box = open();
  const Status unloaded = box->unload("small");
  ASSERT_TRUE(unloaded) << unloaded.error().message;
  EXPECT_EQ(far.status().models.at(1).state, ModelState::kCold);
  EXPECT_EQ(box->status().models.at(1).state, ModelState::kCold);
  ASSERT_TRUE(box->load("small"));
  EXPECT_EQ(box->status().models.at(1).state, ModelState::kReady);
  EXPECT_EQ(box->load("none").error().code, "model_not_found");
}

TEST_F(Box, AServerThatIsAwayIsSaidToBeAndComesBack) {
  const auto box = open();
  const std::uint16_t port = server->port();
  server->stop(0ms);
  server.reset();
  ASSERT_TRUE(eventually([&] { return box->status().models.at(0).state == ModelState::kFailed; }));
  EXPECT_THAT(box->status().models.at(0).problem, HasSubstr("box: nothing answers"));
  EXPECT_EQ(ask(*box, talk("hello")).reply.error().kind, ErrorKind::kUnavailable);
  start(port);
  ASSERT_TRUE(eventually([&] { return box->status().models.at(0).state == ModelState::kReady; }));
  EXPECT_EQ(ask(*box, talk("hello")).reply->text, "You said: hello");
  const std::vector<std::string> lines = logged();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("nothing answers"));
  EXPECT_THAT(lines[1], HasSubstr("answers again"));
}

// It may be started later: that is no error.
TEST_F(Box, AServerThatIsNotThereYetIsFoundLater) {
  const std::uint16_t port = server->port();
  server->stop(0ms);
  server.reset();
  auto box = RemoteHost::open(
      {.name = "box", .url = fmt::format("http://127.0.0.1:{}", port), .look_again = 20ms});
  ASSERT_TRUE(box);
  EXPECT_TRUE((*box)->status().models.empty());
  EXPECT_EQ((*box)->find("small").error().code, "model_not_found");
  start(port);
  EXPECT_TRUE(eventually([&] { return (*box)->find("small").has_value(); }));
}

TEST_F(Box, NothingLeavesForAPlaceThatIsNotAllowed) {
  const auto box = RemoteHost::open({.name = "box", .url = "http://192.168.7.7:8080"});
  ASSERT_FALSE(box);
  EXPECT_EQ(box.error().kind, ErrorKind::kDenied);
  EXPECT_THAT(box.error().message, HasSubstr("--allow lan"));
  EXPECT_EQ(RemoteHost::open({.name = "box", .url = "ftp://127.0.0.1"}).error().kind,
            ErrorKind::kInvalid);
}

TEST_F(Box, TheKeyIsSentAndItsRefusalTold) {
  server->stop(0ms);
  start(0, {"secret"});
  EXPECT_EQ(ask(*open("secret"), talk("hello")).reply->text, "You said: hello");
  const auto box = open("wrong");
  EXPECT_TRUE(box->status().models.empty());
  ASSERT_FALSE(logged().empty());
  EXPECT_THAT(logged().back(), HasSubstr("--remote-key-env"));
  EXPECT_THAT(logged().back(), ::testing::Not(HasSubstr("wrong")));
}

class Family : public Box {
 protected:
  static std::vector<ModelInfo> own_models() {
    std::vector<ModelInfo> models = scripted_family();
    models.erase(models.begin());  // "large" is the box's alone
    models[0].context = 2048;
    return models;
  }
  ScriptedHost near{own_models(), kScript};
};

TEST_F(Family, IsOneHost) {
  const auto box = open();
  HostGroup group({&near, box.get()});
  const HostStatus status = group.status();
  ASSERT_EQ(status.models.size(), 2U);
  EXPECT_EQ(status.models[0].name, "large");
  EXPECT_EQ(status.models[1].name, "small");
  EXPECT_EQ(status.models[1].context, 2048U) << "the file as the first has it";
  EXPECT_EQ(status.limits, near.status().limits);
  EXPECT_EQ(group.find("large").value(), "large");
  EXPECT_EQ(group.find("none").error().code, "model_not_found");
  // A default answers last of all, and only for an answer.
  EXPECT_EQ(group.resolve("gpt-4o").value(), "small");
  EXPECT_FALSE(group.find("gpt-4o"));
}

TEST_F(Family, ARequestGoesWhereItsModelIsReady) {
  const auto box = open();
  HostGroup group({&near, box.get()});
  EXPECT_EQ(ask(group, talk("one"), "small").reply->text, "You said: one");
  EXPECT_EQ(near.seen().size(), 1U);
  EXPECT_EQ(ask(group, talk("two"), "large").reply->text, "You said: two");
  EXPECT_EQ(far.seen().size(), 1U);
  near.set_state("small", ModelState::kCold);
  EXPECT_EQ(ask(group, talk("three"), "small").reply->text, "You said: three");
  EXPECT_EQ(far.seen().size(), 2U);
  EXPECT_EQ(group.status().models[1].state, ModelState::kReady);
  EXPECT_EQ(group.status().counters.requests,
            near.status().counters.requests + box->status().counters.requests);
  // The box is gone: what is here is enough, what is not says why.
  server->stop(0ms);
  server.reset();
  ASSERT_TRUE(eventually([&] { return box->status().models.at(0).state == ModelState::kFailed; }));
  EXPECT_EQ(ask(group, talk("four"), "small").reply->text, "You said: four");
  EXPECT_THAT(ask(group, talk("five"), "large").reply.error().message,
              HasSubstr("nothing answers"));
}

// One name, two models: the first one's is meant, whoever is ready.
TEST_F(Family, AnotherModelOfTheSameNameIsNotAsked) {
  std::vector<ModelInfo> others = own_models();
  others[0].file_bytes += 1;
  ScriptedHost other{others, kScript};
  const auto box = open();
  HostGroup group({&other, box.get()});
  other.set_state("small", ModelState::kCold);
  EXPECT_EQ(ask(group, talk("one"), "small").reply->text, "You said: one");
  EXPECT_EQ(other.seen().size(), 1U);
  EXPECT_TRUE(far.seen().empty());
  EXPECT_EQ(group.status().models[1].state, ModelState::kCold);
}

TEST_F(Family, CancelReachesTheHostThatHasTheRequest) {
  const auto box = open();
  HostGroup group({&near, box.get()});
  for (const auto& [model, host] : {std::pair("small", &near), {"large", &far}}) {
    std::promise<Result<std::vector<HostReply>>> told;
    const ModelHost::Id id = group.submit(
        model, talk("!endless"), [](const Delta&) {},
        [&](Result<std::vector<HostReply>> replies) { told.set_value(std::move(replies)); });
    ASSERT_TRUE(eventually([&] { return host->running() == 1; })) << model;
    group.cancel(id);
    EXPECT_EQ(told.get_future().get().error().kind, ErrorKind::kCancelled);
    EXPECT_TRUE(eventually([&] { return host->cancelled() == 1; })) << model;
  }
}

// A client of this server, a model of that one; and no server asks on for another.
TEST_F(Family, AServerBeforeAServer) {
  const auto box = open();
  HostGroup group({&near, box.get()});
  ServerConfig config;
  config.addresses = {"127.0.0.1"};
  config.port = 0;
  const auto front =
      Server::start(std::move(config),
                    std::vector{forwarded_only(api_routes(near)),
                                reach_only(api_routes(near), Reach::kLocal), api_routes(group)});
  ASSERT_TRUE(front) << front.error().message;
  const auto post = [&](std::string_view path, std::string_view model, std::string_view more,
                        std::string_view headers = "") {
    RawClient client((*front)->port());
    client.post(path,
                fmt::format(R"({{"model": "{}", "messages": [{{"role": "user", "content": "hi"}}],
                                "max_tokens": 100{}}})",
                            model, more),
                headers);
    return client.reply();
  };
  for (const char* path : {"/v1/chat/completions", "/v1/messages", "/api/chat"})
    for (const char* more : {"", R"(, "stream": true)"}) {
      const RawReply reply = post(path, "large", more);
      EXPECT_EQ(reply.status, 200) << path << reply.body;
      EXPECT_THAT(reply.body, HasSubstr("said: ")) << path;
    }
  EXPECT_EQ(post("/v1/chat/completions", "small", "", "x-lathe-forwarded: 1\r\n").status, 200);
  EXPECT_EQ(post("/v1/chat/completions", "large", "", "x-lathe-forwarded: 1\r\n").status, 404);
  // A loop's prompts go no farther than it says, and nowhere when it says nothing that is known.
  for (const auto& [reach, status] :
       {std::pair("local", 404), {"lan", 200}, {"any", 200}, {"moon", 404}, {"", 404}})
    EXPECT_EQ(post("/v1/chat/completions", "large", "", fmt::format("x-lathe-reach: {}\r\n", reach))
                  .status,
              status)
        << reach;
}

}  // namespace
}  // namespace lathe::serve
