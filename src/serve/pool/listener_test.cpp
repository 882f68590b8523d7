// Whisper models in a pool: what they write is what the model writes by itself, in the account of
// all models, beside answers of others.
#include "serve/pool/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "ground/base/text.h"
#include "ground/media/sound_decode.h"
#include "serve/pool/pool_test.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using Heard = Result<Transcription>;

fs::path sound_file(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/media" / name;
}

constexpr const char* kFile = "ggml-tiny-random-q4_0.bin";

// Three seconds as often as asked for.
std::shared_ptr<const std::string> sound(int times) {
  const Sound part = decode_sound(*read_file(sound_file("s3.wav")))->sound;
  return std::make_shared<const std::string>(
      wav_bytes(joined(std::vector<Sound>(static_cast<std::size_t>(times), part), 0)));
}

// "ear" and "other", the same file twice, and "text", which answers.
class ListenerTest : public PoolFixture {
 protected:
  void SetUp() override {
    fs::copy(sound_file(kFile), dir.path() / "ear.bin");
    fs::copy(sound_file(kFile), dir.path() / "other.bin");
    fs::copy(sound_file("gemma3.llm.gguf"), dir.path() / "text.gguf");
    start();
  }
  SoundRequest request(const std::shared_ptr<const std::string>& file) {
    SoundRequest request;
    request.file = *file;
    request.owner = file;
    request.options.beams = 1;
    request.options.words = true;
    return request;
  }
  ModelHost::Id begin(const std::string& model, SoundRequest request, std::promise<Heard>& told,
                      ModelHost::OnSegment on_segment = {}) {
    return pool->transcribe(model, std::move(request), {}, std::move(on_segment),
                            [&](Heard heard) { told.set_value(std::move(heard)); });
  }
  Heard ask(const std::string& model, SoundRequest request) {
    std::promise<Heard> told;
    begin(model, std::move(request), told);
    return told.get_future().get();
  }
  Result<std::vector<HostReply>> answer(const std::string& model) {
    HostRequest request;
    request.ask = Talk{{{"user", "Hi"}}};
    request.max_tokens = 40;
    request.sampling.temperature = 0;
    std::promise<Result<std::vector<HostReply>>> told;
    pool->submit(model, std::move(request), {}, [&](auto replies) { told.set_value(replies); });
    return told.get_future().get();
  }
  std::uint64_t booked() { return pool->status().booked.total(); }
};

TEST_F(ListenerTest, WritesWhatTheModelWritesAlone) {
  const auto file = sound(1);
  const auto gguf = *infer::Gguf::open(sound_file(kFile));
  infer::ThreadTeam team(1);
  infer::WeightLoading loading;
  loading.kernels = &infer::best_kernel_table();
  const auto model = *infer::WhisperModel::open(gguf, team, loading);
  const auto tokens = *infer::WhisperTokens::of(gguf);
  const SoundRequest asked = request(file);
  const auto alone = write_down(*model, tokens, decode_sound(*file)->sound.samples, team,
                                asked.options, nullptr, {});
  ASSERT_TRUE(alone);
  std::string pieces;
  std::promise<Heard> told;
  begin("ear", asked, told, [&](const TranscriptSegment& segment) { pieces += segment.text; });
  const Heard heard = told.get_future().get();
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(to_json(heard->transcript), to_json(*alone));
  EXPECT_EQ(trim(pieces), alone->text());
  EXPECT_EQ(heard->usage.prompt_tokens, 150);
  EXPECT_GT(heard->usage.completion_tokens, 0);
  EXPECT_GT(heard->usage.busy_us.value_or(0), 0);
  EXPECT_FALSE(heard->usage.millijoules);
  // Beside an answer, two at once, of one model and of two: the same.
  std::promise<Heard> one, two, three;
  begin("ear", asked, one);
  begin("ear", asked, two);
  begin("other", asked, three);
  EXPECT_TRUE(answer("text"));
  for (auto* each : {&one, &two, &three}) {
    const Heard again = each->get_future().get();
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(to_json(again->transcript), to_json(*alone));
  }
}

TEST_F(ListenerTest, IsInTheAccountOfAllModels) {
  EXPECT_EQ(model("ear").capabilities(), std::vector<std::string>{"transcription"});
  EXPECT_EQ(model("ear").state, ModelState::kCold);
  EXPECT_EQ(booked(), 0U);
  ASSERT_TRUE(ask("ear", request(sound(1))));
  eventually([&] { return model("ear").running == 0; });
  const ModelInfo ear = model("ear");
  const auto file = *ListenerFile::open({.name = "x", .file = sound_file(kFile)});
  const BookedBytes bytes = *Listener::bytes(*file, infer::best_kernel_table(), 2);
  EXPECT_EQ(ear.weights, bytes.weights.total());
  EXPECT_EQ(ear.scratch, bytes.scratch.total());
  EXPECT_EQ(ear.media, 96'000'000U);
  EXPECT_EQ(booked(), ear.weights + ear.scratch + ear.media);
  ASSERT_TRUE(pool->unload("ear"));
  EXPECT_EQ(booked(), 0U);
  EXPECT_EQ(model("ear").state, ModelState::kCold);
  ASSERT_TRUE(pool->load("ear"));
  EXPECT_EQ(model("ear").state, ModelState::kReady);
}

TEST_F(ListenerTest, MakesRoomAndIsRefusedWhereItNeverFits) {
  start(std::uint64_t{150} << 20);  // one of them
  ASSERT_TRUE(ask("ear", request(sound(1))));
  ASSERT_TRUE(ask("other", request(sound(1))));
  eventually([&] { return model("ear").state == ModelState::kCold; });
  EXPECT_EQ(model("other").state, ModelState::kReady);
  start(std::uint64_t{64} << 20);
  const Heard never = ask("ear", request(sound(1)));
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, "does_not_fit");
}

TEST_F(ListenerTest, ACancelledOneEndsAndTheNextIsHeard) {
  std::promise<Heard> first, second, third;
  const auto id = begin("ear", request(sound(200)), first);
  const auto waiting = begin("ear", request(sound(200)), second);
  begin("ear", request(sound(1)), third);
  eventually([&] { return model("ear").running == 1; });
  EXPECT_FALSE(pool->unload("ear")) << "it has work in flight";
  pool->cancel(waiting);
  pool->cancel(id);
  EXPECT_EQ(first.get_future().get().error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(second.get_future().get().error().kind, ErrorKind::kCancelled);
  EXPECT_TRUE(third.get_future().get());
  EXPECT_EQ(pool->status().counters.cancelled, 2);
  // The pool's end ends what is under way.
  std::promise<Heard> last;
  begin("ear", request(sound(200)), last);
  eventually([&] { return model("ear").running == 1; });
  pool.reset();
  EXPECT_EQ(last.get_future().get().error().code, "shutting_down");
}

TEST_F(ListenerTest, WhatCannotBeIsNamed) {
  const auto refused = [&](const Heard& heard) {
    return heard ? "none" : heard.error().code + ": " + heard.error().message;
  };
  const auto text = std::make_shared<const std::string>("no sound");
  EXPECT_THAT(refused(ask("ear", request(text))), HasSubstr("unsupported_sound: unreadable"));
  SoundRequest klingon = request(text);
  klingon.options.language = "klingon";
  EXPECT_THAT(refused(ask("ear", klingon)), HasSubstr("unsupported_language: the language"));
  klingon.options.language = "de";
  EXPECT_THAT(refused(ask("ear", klingon)), HasSubstr("only English"));
  SoundRequest translate = request(text);
  translate.options.translate = true;
  EXPECT_THAT(refused(ask("ear", translate)), HasSubstr("English only"));
  EXPECT_THAT(refused(ask("text", request(text))), HasSubstr("writes no sounds down"));
  const auto answered = answer("ear");
  ASSERT_FALSE(answered);
  EXPECT_THAT(answered.error().message, HasSubstr("/v1/audio/transcriptions"));
  // A name that only stands for some model of a cloud's is never the one that hears.
  ASSERT_TRUE(pool->load("ear"));
  EXPECT_EQ(pool->resolve("gpt-5"), "text");
}

}  // namespace
}  // namespace lathe::serve
