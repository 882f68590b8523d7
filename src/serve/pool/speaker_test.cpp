// Models that speak in a pool: what they say is what the voice says by itself, in the account of
// all models, beside answers of others.
#include "serve/pool/speaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <thread>

#include "infer/models/blueprint.h"
#include "serve/pool/local_worker.h"
#include "serve/pool/pool_test.h"

namespace lathe::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Samples = std::vector<std::int16_t>;

fs::path speaker_data(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data" / name;
}

// "anna", with a recording; "alone", without the rest of its voice; "text", which answers.
class SpeakerTest : public PoolFixture {
 protected:
  void SetUp() override {
    fs::copy(speaker_data("models/qwen3tts.gguf"), dir.path() / "voice.gguf");
    fs::copy(speaker_data("media/qwen3tts.mmproj.gguf"), dir.path() / "voice-mmproj.gguf");
    fs::copy(speaker_data("models/qwen3tts.gguf"), dir.path() / "alone.gguf");
    fs::copy(speaker_data("media/gemma3.llm.gguf"), dir.path() / "text.gguf");
    fs::copy(speaker_data("media/qwen3tts.ref24k.wav"), dir.path() / "anna.wav");
    settings(
        "[model.voice]\nvoices = {anna = \"anna.wav\", noise = \"text.gguf\"}\n"
        "[model.alone]\nvoices = {anna = \"anna.wav\"}\n");
    start();
  }
  void settings(const std::string& text) {
    ASSERT_TRUE(write_file_atomic(dir.path() / "models.toml", text));
  }
  static SpeechRequest request(std::string text) {
    SpeechRequest request;
    request.text = std::move(text);
    request.seed = 7;
    return request;
  }
  struct Asked {
    Samples samples;
    std::promise<Result<Speech>> told;
    Result<Speech> end() { return told.get_future().get(); }
  };
  ModelHost::Id begin(const std::string& name, SpeechRequest request, Asked& asked) {
    return pool->speak(
        name, std::move(request), {},
        [&](std::span<const std::int16_t> more) {
          asked.samples.insert(asked.samples.end(), more.begin(), more.end());
        },
        [&](Result<Speech> speech) { asked.told.set_value(std::move(speech)); });
  }
  std::string refusal(const std::string& name, SpeechRequest request) {
    Asked asked;
    begin(name, std::move(request), asked);
    const auto spoken = asked.end();
    return spoken ? "it speaks" : spoken.error().code + ": " + spoken.error().message;
  }
  // What the voice says without a pool.
  Samples alone(const std::string& text, bool as_anna) {
    const auto talker = *infer::Gguf::open(speaker_data("models/qwen3tts.gguf"));
    const auto rest = *infer::Gguf::open(speaker_data("media/qwen3tts.mmproj.gguf"));
    infer::ThreadTeam team(1);
    infer::WeightLoading loading;
    loading.kernels = &infer::best_kernel_table();
    const auto voice = *infer::Voice::open(talker, rest, team, loading);
    infer::VoiceWish wish;
    wish.seed = 7;
    if (as_anna) {
      const std::string wav = *read_file(dir.path() / "anna.wav");
      Samples recording((wav.size() - 44) / 2);
      std::memcpy(recording.data(), wav.data() + 44, recording.size() * 2);
      wish.speaker = *voice->speaker(recording, nullptr);
    }
    Samples all;
    EXPECT_TRUE(voice->speak(text, wish, nullptr, [&](std::span<const std::int16_t> more) {
      all.insert(all.end(), more.begin(), more.end());
      return Status{};
    }));
    return all;
  }
};

TEST_F(SpeakerTest, SaysWhatTheVoiceSaysAlone) {
  const Samples own = alone("the stone", false), anna = alone("the stone", true);
  ASSERT_NE(own, anna);
  SpeechRequest as_anna = request("the stone");
  as_anna.voice = "anna";
  Asked one, two, three;
  begin("voice", request("the stone"), one);
  begin("voice", as_anna, two);
  begin("voice", as_anna, three);  // whose row is known by then
  const auto spoken = one.end();
  ASSERT_TRUE(spoken) << spoken.error().message;
  EXPECT_EQ(one.samples, own);
  EXPECT_GT(spoken->usage.prompt_tokens, 0);
  EXPECT_EQ(static_cast<std::size_t>(spoken->usage.completion_tokens) * 96, own.size());
  EXPECT_GT(spoken->usage.busy_us.value_or(0), 0);
  EXPECT_TRUE(spoken->usage.first_token_us);
  for (Asked* each : {&two, &three}) {
    ASSERT_TRUE(each->end());
    EXPECT_EQ(each->samples, anna);
  }
}

TEST_F(SpeakerTest, IsInTheAccountOfAllModels) {
  EXPECT_EQ(model("voice").capabilities(), std::vector<std::string>{"speech"});
  EXPECT_THAT(model("voice").voices, ElementsAre("anna", "noise"));
  EXPECT_THAT(model("voice").languages, ElementsAre("chinese", "english"));
  Asked asked;
  begin("voice", request("one"), asked);
  ASSERT_TRUE(asked.end());
  eventually([&] { return model("voice").running == 0; });
  const auto file = *SpeakerFile::open({.name = "x",
                                        .file = speaker_data("models/qwen3tts.gguf"),
                                        .eyes = speaker_data("media/qwen3tts.mmproj.gguf")});
  const BookedBytes bytes = *Speaker::bytes(*file, infer::best_kernel_table(), 2);
  const ModelInfo voice = model("voice");
  EXPECT_GT(voice.weights, 0U);
  EXPECT_EQ(voice.weights, bytes.weights.total());
  EXPECT_EQ(voice.scratch, bytes.scratch.total());
  EXPECT_EQ(voice.media, bytes.media.total());
  EXPECT_EQ(pool->status().booked.total(), voice.weights + voice.scratch + voice.media);
  ASSERT_TRUE(pool->unload("voice"));
  EXPECT_EQ(pool->status().booked.total(), 0U);
  start(bytes.all().total() - 1);
  EXPECT_THAT(refusal("voice", request("one")), HasSubstr("does_not_fit"));
}

TEST_F(SpeakerTest, LeavesWhenNobodyAsksForIt) {
  settings("[model.voice]\nkeep_alive = \"1s\"\n");
  start();
  Asked asked;
  begin("voice", request("one"), asked);
  ASSERT_TRUE(asked.end());
  eventually([&] { return model("voice").state == ModelState::kCold; });
  EXPECT_EQ(pool->status().booked.total(), 0U);
}

TEST_F(SpeakerTest, ACancelledOneEndsAndTheNextIsSpoken) {
  Asked second, third;
  std::promise<Result<Speech>> told;
  std::promise<void> began, go;
  // It waits in its first second, with more to come.
  const auto id = pool->speak(
      "voice", request("the water is in the stone"), {},
      [&, first = true](std::span<const std::int16_t>) mutable {
        if (!std::exchange(first, false)) return;
        began.set_value();
        go.get_future().wait();
      },
      [&](Result<Speech> speech) { told.set_value(std::move(speech)); });
  began.get_future().wait();
  const auto waiting = begin("voice", request("one"), second);
  begin("voice", request("one"), third);
  EXPECT_FALSE(pool->unload("voice")) << "it has work in flight";
  pool->cancel(waiting);
  EXPECT_EQ(second.end().error().kind, ErrorKind::kCancelled);
  pool->cancel(id);
  // The cancel has come to the voice before it goes on: the pool's tasks are in order.
  EXPECT_FALSE(pool->unload("voice"));
  go.set_value();
  EXPECT_EQ(told.get_future().get().error().kind, ErrorKind::kCancelled);
  EXPECT_TRUE(third.end());
  EXPECT_EQ(pool->status().counters.cancelled, 2);
}

TEST_F(SpeakerTest, WhatCannotBeIsNamed) {
  SpeechRequest asked = request("one");
  asked.voice = "alloy";
  EXPECT_THAT(refusal("voice", asked), HasSubstr("unsupported_voice: 'alloy' is no voice of "
                                                 "'voice'; there are its own, which is default, "
                                                 "anna, noise"));
  asked.voice = "noise";
  const std::string noise = refusal("voice", asked);
  EXPECT_THAT(noise, HasSubstr("unsupported_voice: the recording of the voice 'noise'"));
  EXPECT_THAT(noise, ::testing::Not(HasSubstr(dir.path().string())));
  asked.voice.clear();
  asked.speed = 2;
  EXPECT_THAT(refusal("voice", asked), HasSubstr("unsupported_value: 'voice' has a pace"));
  asked.speed = 1;
  asked.language = "klingon";
  EXPECT_THAT(refusal("voice", asked), HasSubstr("unsupported_language: 'klingon'"));
  EXPECT_THAT(refusal("voice", request(" \n")), HasSubstr("unsupported_text: there is no text"));
  EXPECT_THAT(refusal("voice", request(std::string(4097, '#'))),
              HasSubstr("unsupported_text: the text has 4097 tokens"));
  EXPECT_THAT(refusal("text", request("one")), HasSubstr("'text' speaks nothing"));
  const std::string without = refusal("alone", request("one"));
  EXPECT_THAT(without, HasSubstr("model_load_failed: 'alone': beside it lies no file with mmproj"));
  EXPECT_THAT(without, ::testing::Not(HasSubstr(dir.path().string())));
  EXPECT_EQ(model("alone").capabilities(), std::vector<std::string>{"speech"});
  EXPECT_EQ(model("alone").state, ModelState::kFailed);
}

TEST_F(SpeakerTest, IsAWorker) {
  LocalWorker worker(*pool, "voice", "narrator");
  StopFlag stop;
  const auto file = worker.speak(request("the stone"), stop);
  ASSERT_TRUE(file) << file.error().message;
  const Samples own = alone("the stone", false);
  ASSERT_EQ(file->file.size(), own.size() * 2);
  EXPECT_EQ(std::memcmp(file->file.data(), own.data(), file->file.size()), 0);
  EXPECT_EQ(file->raw_rate, 24000);
  EXPECT_GT(file->usage.completion_tokens, 0);
  SpeechRequest klingon = request("one");
  klingon.language = "klingon";
  EXPECT_THAT(worker.speak(klingon, stop).error().message, HasSubstr("worker narrator: 'klingon'"));
  stop.raise();
  EXPECT_EQ(worker.speak(request("one"), stop).error().kind, ErrorKind::kCancelled);
}

TEST_F(SpeakerTest, AnswersNothing) {
  HostRequest talk;
  talk.ask = Talk{{{"user", "Hi"}}};
  std::promise<Result<std::vector<HostReply>>> told;
  pool->submit("voice", std::move(talk), {}, [&](auto replies) { told.set_value(replies); });
  const auto answered = told.get_future().get();
  ASSERT_FALSE(answered);
  EXPECT_THAT(answered.error().message, HasSubstr("/v1/audio/speech"));
  // A name that only stands for some model of a cloud's is never the one that speaks.
  ASSERT_TRUE(pool->load("voice"));
  EXPECT_EQ(model("voice").state, ModelState::kReady);
  EXPECT_EQ(pool->resolve("gpt-5"), "text");
}

}  // namespace
}  // namespace lathe::serve
