// Texts spoken over HTTP: forms, streams, names, refusals. The voices are real ones, in confined
// children of this test.
#include "serve/speech/speech_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <testing/raw_client.h>

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

class SpeechTest : public ::testing::Test {
 protected:
  SpeechTest() : desk("/proc/self/exe", 1) {
    ServerConfig config;
    config.port = 0;
    auto started = Server::start(std::move(config), {speech_routes(desk)});
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
  refused("model", "llama", "classical", 404);
  Json silent = wish("wav");
  silent["input"] = "... !";
  EXPECT_THAT(ask(silent).body, HasSubstr("nothing to say"));
  EXPECT_EQ(ask(silent).status, 400);
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
}

}  // namespace
}  // namespace lathe::serve
