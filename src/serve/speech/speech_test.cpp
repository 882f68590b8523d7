// Texts spoken over HTTP: forms, streams, names, refusals. The voices are real ones, in confined
// children of this test.
#include "serve/speech/speech_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/raw_client.h>
#include <testing/scripted_host.h>

#include "ground/base/base64.h"
#include "ground/base/text.h"
#include "ground/media/sound_decode.h"
#include "ground/media/sound_encode.h"
#include "serve/server/server.h"
#include "serve/speech/voice_names.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using testing::RawClient;
using testing::RawReply;

// "small" and "large", which answer, and "anna", which speaks: a second a word of its text, whose
// samples are all the request's seed.
class SpeakingHost : public testing::ScriptedHost {
 public:
  SpeakingHost() : ScriptedHost(family(), {}) {}
  Id speak(const std::string& model, SpeechRequest request, Asker asker, OnSamples on_samples,
           OnSpeech on_speech) override {
    EXPECT_EQ(model, "anna");
    asked = request;
    told.push_back(std::move(asker.caller));
    if (request.voice == "nobody") {
      on_speech(std::unexpected(Error{ErrorKind::kInvalid, "no such voice", "unsupported_voice"}));
      return 1;
    }
    const auto value = static_cast<std::int16_t>(request.seed.value_or(0));
    for (const std::string& word : split(request.text, ' ')) {
      on_samples(std::vector<std::int16_t>(kSpeechRate, value));
      if (word != "BREAK") continue;
      on_speech(std::unexpected(Error{ErrorKind::kUnavailable, "it broke", "model_lost"}));
      return 1;
    }
    Speech speech;
    speech.ended = !request.text.ends_with("ENDLESS");
    speech.usage.completion_tokens = 8192;
    on_speech(speech);
    return 1;
  }
  static std::vector<ModelInfo> family() {
    std::vector<ModelInfo> models = testing::scripted_family();
    ModelInfo anna;
    anna.name = "anna";
    anna.aliases = {"tts-1-hd"};
    anna.speaks = true;
    anna.voices = {"bert"};
    models.push_back(std::move(anna));
    return models;
  }
  SpeechRequest asked;
  std::vector<Caller> told;
};

class SpeechTest : public ::testing::Test {
 protected:
  SpeechTest() : desk("/proc/self/exe", 1) {
    ServerConfig config;
    config.port = 0;
    auto started = Server::start(std::move(config), {speech_routes(desk, host)});
    EXPECT_TRUE(started);
    server = std::move(*started);
  }
  RawReply ask(const Json& body) {
    RawClient one(server->port());
    one.post("/v1/audio/speech", dump_json(body));
    return one.reply();
  }
  static Json wish(std::string_view format) {
    return {{"model", "tts-1"},
            {"voice", "alloy"},
            {"input", "Dr. Brown has 2 dogs. They bark! Do they bite?"},
            {"response_format", format}};
  }

  SpeakingHost host;
  SpeechDesk desk;
  std::unique_ptr<Server> server;
};

TEST_F(SpeechTest, EveryFormatIsTheSameSound) {
  const RawReply wav = ask(wish("wav"));
  ASSERT_EQ(wav.status, 200) << wav.body;
  EXPECT_THAT(wav.head, HasSubstr("Content-Type: audio/wav"));
  const auto heard = decode_sound(wav.body);
  ASSERT_TRUE(heard);
  EXPECT_EQ(wav.body, wav_bytes(heard->sound));  // the head says what is there
  EXPECT_GT(heard->sound.seconds(), 3);
  for (const SoundFormat format : {SoundFormat::kFlac, SoundFormat::kOpus, SoundFormat::kMp3}) {
    if (!can_write(format)) continue;
    const RawReply reply = ask(wish(sound_format_name(format)));
    const auto decoded = decode_sound(reply.body);
    ASSERT_TRUE(decoded) << sound_format_name(format);
    EXPECT_NEAR(decoded->sound.seconds(), heard->sound.seconds(), 1e-3);
  }
  EXPECT_NEAR(static_cast<double>(ask(wish("pcm")).body.size()) / 2 / kPcmRate,
              heard->sound.seconds(), 0.01);
  // OpenAI's name and the voice's own are one voice.
  Json own = wish("wav");
  own["voice"] = "flite:slt";
  EXPECT_EQ(ask(own).body, wav.body);
  own["speed"] = 2;
  EXPECT_LT(decode_sound(ask(own).body)->sound.seconds(), heard->sound.seconds() * 0.75);
}

TEST_F(SpeechTest, StreamsHaveTheSameSamples) {
  const RawReply whole = ask(wish("wav"));
  Json body = wish("wav");
  body["stream_format"] = "audio";
  const RawReply bytes = ask(body);
  EXPECT_THAT(bytes.head, HasSubstr("chunked"));
  EXPECT_EQ(bytes.body.substr(44), whole.body.substr(44));
  body["stream_format"] = "sse";
  std::string pieces;
  int deltas = 0;
  std::string last;
  for (const std::string& line : split(ask(body).body, '\n')) {
    if (!line.starts_with("data: ")) continue;
    const auto event = parse_json(line.substr(6));
    ASSERT_TRUE(event);
    last = json_string(*event, "type");
    if (last != "speech.audio.delta") continue;
    ++deltas;
    pieces += from_base64(json_string(*event, "audio"));
  }
  EXPECT_EQ(deltas, 3);  // sentences
  EXPECT_EQ(last, "speech.audio.done");
  EXPECT_EQ(pieces, bytes.body);
}

TEST_F(SpeechTest, WhatCannotBeIsNamed) {
  const auto refused = [&](std::string_view field, const Json& value, std::string_view say,
                           int status = 400) {
    Json body = wish("wav");
    body[std::string(field)] = value;
    const RawReply reply = ask(body);
    EXPECT_EQ(reply.status, status) << reply.body;
    const auto json = parse_json(reply.body);
    ASSERT_TRUE(json);
    EXPECT_EQ(json_string(json_at(*json, "error"), "param"), field);
    EXPECT_THAT(json_string(json_at(*json, "error"), "message"), HasSubstr(say));
  };
  refused("voice", "nobody", "no voice 'nobody'");
  refused("voice", "espeak-ng:../../etc", "espeak-ng voice");
  refused("voice", 3, "string");
  refused("input", "", "not empty");
  refused("input", std::string(20'001, 'x'), "20001 bytes");
  refused("response_format", "aac", "mp3, opus");
  refused("speed", 0.1, "between");
  refused("stream_format", "video", "audio or sse");
  refused("model", "llama", "classical, anna", 404);
  refused("model", "small", "'small' speaks nothing");
  Json silent = wish("wav");
  silent["input"] = "... !";
  EXPECT_THAT(ask(silent).body, HasSubstr("nothing to say"));
  EXPECT_EQ(ask(silent).status, 400);
}

TEST_F(SpeechTest, AModelSpeaks) {
  const Json asked{{"model", "anna"}, {"input", "one two three"},
                   {"voice", "bert"}, {"language", "english"},
                   {"seed", 7},       {"response_format", "wav"}};
  const RawReply whole = ask(asked);
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(host.asked.voice, "bert");
  EXPECT_EQ(host.asked.language, "english");
  const auto heard = decode_sound(whole.body);
  ASSERT_TRUE(heard);
  EXPECT_DOUBLE_EQ(heard->sound.seconds(), 3);
  Json stream = asked;
  stream["stream_format"] = "audio";
  EXPECT_EQ(ask(stream).body.substr(44), whole.body.substr(44));
  stream["response_format"] = "pcm";
  EXPECT_EQ(ask(stream).body, whole.body.substr(44));
  stream["stream_format"] = "sse";
  const std::string events = ask(stream).body;
  EXPECT_THAT(events, HasSubstr("speech.audio.delta"));
  EXPECT_THAT(events, HasSubstr(R"("output_tokens":8192)"));
  EXPECT_THAT(events, HasSubstr("speech.audio.done"));
  // Its own voice, by no name, by that one, and by an alias of the model.
  for (const Json& voice : {Json(), Json("default")}) {
    Json own = asked;
    own["voice"] = voice;
    own["model"] = "tts-1-hd";
    EXPECT_EQ(ask(own).status, 200);
    EXPECT_EQ(host.asked.voice, "");
  }
  for (const SoundFormat format : {SoundFormat::kFlac, SoundFormat::kOpus, SoundFormat::kMp3}) {
    if (!can_write(format)) continue;
    Json other = asked;
    other["response_format"] = sound_format_name(format);
    const auto decoded = decode_sound(ask(other).body);
    ASSERT_TRUE(decoded) << sound_format_name(format);
    EXPECT_NEAR(decoded->sound.seconds(), 3, 0.1);
  }
  EXPECT_FALSE(host.told.empty());
}

TEST_F(SpeechTest, WhatAModelCannotSayIsNamed) {
  const auto refused = [&](std::string_view field, const Json& value, std::string_view say) {
    Json body{{"model", "anna"}, {"input", "one"}, {"stream_format", "audio"}};
    body[std::string(field)] = value;
    const RawReply reply = ask(body);
    EXPECT_EQ(reply.status, 400) << reply.body;
    const auto json = parse_json(reply.body);
    ASSERT_TRUE(json);
    EXPECT_EQ(json_string(json_at(*json, "error"), "param"), field);
    EXPECT_THAT(json_string(json_at(*json, "error"), "message"), HasSubstr(say));
  };
  refused("voice", "nobody", "no such voice");
  refused("speed", 1.5, "must be 1");
  refused("seed", -1, "seed");
  refused("input", std::string(20'001, 'x'), "20001 bytes");
  Json breaks{{"model", "anna"}, {"input", "one BREAK"}, {"response_format", "pcm"}};
  EXPECT_EQ(ask(breaks).status, 503);
  breaks["stream_format"] = "sse";
  const RawReply events = ask(breaks);
  EXPECT_THAT(events.body, HasSubstr("it broke"));
  EXPECT_THAT(events.body, ::testing::Not(HasSubstr("speech.audio.done")));
  // Nor is what a model did not bring to its end.
  breaks["input"] = "one ENDLESS";
  EXPECT_THAT(ask(breaks).body, ::testing::Not(HasSubstr("speech.audio.done")));
  breaks.erase("stream_format");
  const RawReply endless = ask(breaks);
  EXPECT_EQ(endless.status, 400);
  EXPECT_THAT(endless.body, HasSubstr("cut off"));
}

TEST_F(SpeechTest, VoicesAreListed) {
  RawClient one(server->port());
  one.get("/v1/audio/voices");
  const auto list = parse_json(one.reply().body);
  ASSERT_TRUE(list);
  for (const Json& voice : json_at(*list, "data"))
    EXPECT_TRUE(find_voice(json_string(voice, "id"))) << voice.dump();
  for (const auto& [alias, voice] : json_at(*list, "aliases").items())
    EXPECT_EQ(find_voice(alias), voice.get<std::string>());
  EXPECT_EQ(find_voice(""), json_string(*list, "default"));
  const Json& models = json_at(*list, "models");
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(json_string(models[0], "id"), "anna");
  EXPECT_EQ(models[0]["voices"], Json::array({"default", "bert"}));
}

}  // namespace
}  // namespace lathe::serve
