// Pictures and sounds in requests: what a model is given is what somebody puts together by hand; a
// picture is encoded once; and whatever is no picture, or too many of them, is refused by name.
#include "serve/pool/senses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "ground/media/picture_decode.h"
#include "ground/media/sound_decode.h"
#include "infer/encoders/prompt_pieces.h"
#include "infer/models/vocabulary.h"
#include "serve/pool/pool_test.h"

namespace lathe::serve {
namespace {

using ::testing::HasSubstr;
using SeenReplies = Result<std::vector<HostReply>>;

fs::path data(const std::string& name) {
  return fs::path(LATHE_SOURCE_DIR) / "tests/data/media" / name;
}

Media medium(const std::string& name) {
  return *Media::of_file(*read_file(data(name)));
}

// "seeing" and "hearing" with their encoders beside them, "blind", and "wrong" with another model's
// encoder.
class SensesTest : public PoolFixture {
 protected:
  void SetUp() override {
    fs::copy(data("gemma3.llm.gguf"), dir.path() / "seeing.gguf");
    fs::copy(data("gemma3.mmproj.gguf"), dir.path() / "mmproj-seeing-f16.gguf");
    fs::copy(data("qwen2a.llm.gguf"), dir.path() / "hearing.gguf");
    fs::copy(data("qwen2a.mmproj.gguf"), dir.path() / "mmproj-hearing.gguf");
    fs::copy(data("gemma3.llm.gguf"), dir.path() / "blind.gguf");
    fs::copy(data("gemma3.llm.gguf"), dir.path() / "wrong.gguf");
    fs::copy(data("qwen3vl_merger.mmproj.gguf"), dir.path() / "other-mmproj.gguf");
    ASSERT_TRUE(write_file_atomic(dir.path() / "models.toml",
                                  "[model.wrong]\nfile = \"wrong.gguf\"\n"
                                  "eyes = \"other-mmproj.gguf\"\n"
                                  "[model.small]\nfile = \"seeing-too.gguf\"\ncontext = 100\n"));
    fs::copy(data("gemma3.llm.gguf"), dir.path() / "seeing-too.gguf");
    start();
  }

  static Content content(const std::vector<ContentPart>& parts) {
    Content all;
    bool first = true;
    for (const ContentPart& part : parts) {
      Content one = std::visit([](const auto& each) { return Content(each); }, part);
      if (std::exchange(first, false))
        all = std::move(one);
      else
        all.add(std::move(one));
    }
    return all;
  }
  static HostRequest request(Content content) {
    HostRequest request;
    request.ask = Talk{{{"user", std::move(content)}}};
    request.max_tokens = 6;
    request.sampling.temperature = 0;
    request.top_logprobs = 3;
    return request;
  }
  SeenReplies ask(const std::string& model, HostRequest request) {
    std::promise<SeenReplies> promise;
    pool->submit(model, std::move(request), {},
                 [&](SeenReplies replies) { promise.set_value(std::move(replies)); });
    return promise.get_future().get();
  }
  std::string error(const std::string& model, Content content) {
    const SeenReplies replies = ask(model, request(std::move(content)));
    return replies ? "none" : replies.error().code + ": " + replies.error().message;
  }
};

// The probabilities of a prompt that is put together here, token by token.
std::vector<double> by_hand(const std::string& name, const Percept& pieces, std::size_t answer) {
  infer::ThreadTeam team(2);
  const auto file = *infer::Gguf::open(data(name));
  const auto model =
      *infer::Model::load(file, team, {.kernels = &infer::best_kernel_table(), .progress = {}});
  const auto tokenizer = *infer::Tokenizer::make(*infer::read_vocabulary(file));
  infer::GenerationRequest request;
  const auto say = [&](const char* text) {
    request.prompt.add(tokenizer->encode(text, request.prompt.empty(), true));
  };
  say("<|im_start|>user\nHi ");
  infer::add(request.prompt, *tokenizer, pieces);
  say(" what is it?<|im_end|>\n<|im_start|>assistant\n");
  request.max_tokens = answer;
  request.sampler.temperature = 0;
  request.top_logprobs = 0;
  auto engine =
      *infer::Engine::create(*infer::CpuExecutor::create(*model, team, {}), *tokenizer, {});
  std::vector<double> logprobs;
  EXPECT_TRUE(engine->add(request));
  while (engine->step([&](infer::TokenEvent event) {
    if (event.logprob) logprobs.push_back(static_cast<double>(event.logprob->logprob));
  })) {
  }
  return logprobs;
}

// Encoder is PictureEncoder or SoundEncoder.
template <class Encoder, class Decoded>
Percept encoded(const std::string& name, const Decoded& decoded) {
  infer::ThreadTeam team(2);
  const auto encoder = *Encoder::open(*infer::Gguf::open(data(name)), team,
                                      {.kernels = &infer::best_kernel_table(), .progress = {}});
  return *encoder->encode(decoded, nullptr);
}

void expect_equal(const HostReply& reply, const std::vector<double>& expected) {
  ASSERT_FALSE(reply.logprobs.empty());
  ASSERT_LE(reply.logprobs.size(), expected.size());
  for (std::size_t i = 0; i < reply.logprobs.size(); ++i)
    EXPECT_EQ(reply.logprobs[i].logprob, expected[i]) << i;
}

TEST_F(SensesTest, ASoundStandsWhereTheMessageHasIt) {
  const Sound sound = decode_sound(*read_file(data("s3.wav")))->sound;
  const Percept pieces = encoded<infer::SoundEncoder>("qwen2a.mmproj.gguf",
                                                      std::span<const std::int16_t>(sound.samples));
  for (int time = 0; time < 2; ++time) {
    const SeenReplies replies =
        ask("hearing", request(content({"Hi ", medium("s3.wav"), " what is it?"})));
    ASSERT_TRUE(replies) << replies.error().message;
    expect_equal(replies->front(), by_hand("qwen2a.llm.gguf", pieces, 6));
    EXPECT_GE(replies->front().usage.prompt_tokens, 750);
  }
  eventually([&] { return pool->status().counters.media_remembered == 1; });
  EXPECT_EQ(pool->status().counters.media_encoded, 1);
  EXPECT_TRUE(model("hearing").audio);
  EXPECT_FALSE(model("hearing").vision);
  EXPECT_FALSE(model("seeing").audio);
  EXPECT_THAT(error("hearing", content({"Hi ", medium("img_97x61.png")})),
              HasSubstr("texts and sounds only"));
  EXPECT_THAT(error("seeing", content({"Hi ", medium("s3.wav")})),
              HasSubstr("texts and pictures only"));
}

TEST_F(SensesTest, APictureStandsWhereTheMessageHasIt) {
  for (const char* png : {"img_97x61.png", "img_230x180.png"}) {
    const SeenReplies replies =
        ask("seeing", request(content({"Hi ", medium(png), " what is it?"})));
    ASSERT_TRUE(replies) << replies.error().message;
    const HostReply& reply = replies->front();
    expect_equal(reply, by_hand("gemma3.llm.gguf",
                                encoded<infer::PictureEncoder>(
                                    "gemma3.mmproj.gguf", *decode_picture(*read_file(data(png)))),
                                6));
    EXPECT_GT(reply.usage.prompt_tokens, 16 + 2);
  }
  EXPECT_TRUE(model("seeing").vision);
  EXPECT_FALSE(model("blind").vision);
  EXPECT_FALSE(model("wrong").vision);
  EXPECT_TRUE(model("small").vision);
}

TEST_F(SensesTest, APictureThatIsAskedAboutAgainIsNotEncodedAgain) {
  const Media first = medium("img_97x61.png"), second = medium("img_230x180.png");
  EXPECT_EQ(error("seeing", content({first, "what is it?"})), "none");
  EXPECT_EQ(error("seeing", content({"and", first, second, "?"})), "none");
  EXPECT_EQ(error("seeing", content({first})), "none");
  // 40 in one request.
  std::vector<ContentPart> many;
  for (int i = 0; i < 40; ++i) many.emplace_back(i % 2 == 0 ? first : second);
  const SeenReplies replies = ask("seeing", request(content(many)));
  ASSERT_TRUE(replies) << replies.error().message;
  EXPECT_GT(replies->front().usage.prompt_tokens, 40 * 18);
  // How long an answer takes does not tell one key what another one's pictures are.
  HostRequest other = request(content({first}));
  other.caller.key = "somebody else's";
  ASSERT_TRUE(ask("seeing", other));
  ASSERT_TRUE(ask("seeing", other));
  eventually([&] { return pool->status().counters.media_remembered == 43; });
  EXPECT_EQ(pool->status().counters.media_encoded, 3);
}

TEST_F(SensesTest, ItsBytesAreBookedWithTheModels) {
  ASSERT_TRUE(pool->load("seeing"));
  const SensesFile file{.file = *infer::Gguf::open(data("gemma3.mmproj.gguf")), .sees = true};
  const std::uint64_t media = *Senses::bytes(file, infer::best_kernel_table(), 1);
  EXPECT_GT(media, Senses::kRemembered);
  EXPECT_EQ(model("seeing").media, media);
  EXPECT_EQ(model("seeing").devices.total(), model("seeing").weights + model("seeing").kv +
                                                 model("seeing").prefix + model("seeing").scratch +
                                                 media);
  ASSERT_TRUE(pool->unload("seeing"));
  EXPECT_EQ(model("seeing").media, 0u);
}

TEST_F(SensesTest, WhatCannotBeSeenIsRefusedByName) {
  const Media fine = medium("img_97x61.png");
  EXPECT_EQ(error("blind", content({"Hi", fine})),
            "unsupported_messages: 'blind' takes text only, and a message of the user holds a "
            "picture (image/png); leave it out, or ask a model that knows what to do with it");
  EXPECT_THAT(error("wrong", content({fine})),
              HasSubstr("makes rows of 96 numbers, and the model reads such of 32: it is the "
                        "encoder of another model"));
  EXPECT_EQ(error("wrong", "Hi"), "none");
  Media sound = *Media::of_file("RIFF....WAVEfmt ");
  EXPECT_THAT(error("seeing", content({sound})), HasSubstr("takes texts and pictures only"));
  // Half a file, no picture behind its first bytes, and one larger than any.
  std::string half = *fine.bytes;
  half.resize(half.size() / 2);
  std::string huge = *fine.bytes;
  huge.replace(16, 8, "\0\x0f\x42\x40\0\x0f\x42\x40", 8);
  for (const std::string& bytes : {half, huge, std::string("\x89PNG\r\n\x1a\n nothing")})
    EXPECT_THAT(error("seeing", content({fine, *Media::of_file(bytes)})),
                HasSubstr("unsupported_messages: picture 2 of the messages:"));
  // Rows that the context has no room for.
  EXPECT_EQ(error("small", content({fine, "?"})), "none");
  std::vector<ContentPart> many(6, fine);
  EXPECT_THAT(error("small", content(many)), HasSubstr("context_length_exceeded: the prompt has"));
  EXPECT_EQ(error("seeing", content({"Hi ", fine})), "none") << "and it goes on";
}

TEST_F(SensesTest, WhoeverGoesIsNotWaitedFor) {
  for (int i = 0; i < 8; ++i) {
    auto promise = std::make_shared<std::promise<SeenReplies>>();
    auto future = promise->get_future();
    const auto id = pool->submit("seeing", request(content({medium("img_97x61.png")})), {},
                                 [promise](SeenReplies replies) { promise->set_value(replies); });
    if (i % 2 != 0) std::this_thread::sleep_for(Milliseconds(i));
    pool->cancel(id);
    const SeenReplies replies = future.get();
    if (!replies) {
      EXPECT_EQ(replies.error().kind, ErrorKind::kCancelled);
    }
  }
  eventually([&] { return pool->status().queued == 0; });
  auto promise = std::make_shared<std::promise<SeenReplies>>();
  auto future = promise->get_future();
  pool->submit("seeing", request(content({medium("img_230x180.png")})), {},
               [promise](SeenReplies replies) { promise->set_value(replies); });
  pool.reset();
  const SeenReplies replies = future.get();
  if (!replies) {
    EXPECT_EQ(replies.error().code, "shutting_down");
  }
}

std::string shown(const std::vector<MediaMarks::Stretch>& stretches) {
  std::string text;
  for (const MediaMarks::Stretch& stretch : stretches) {
    for (const infer::PromptPart& part : stretch.text)
      text += part.trusted ? "<" + part.text + ">" : part.text;
    if (stretch.medium) text += fmt::format("[{}]", *stretch.medium);
  }
  return text;
}

TEST(MediaMarks, StandForMediaAndNothingElseDoes) {
  const Media one = medium("img_97x61.png");
  MediaMarks marks, others;
  Content both("a");
  both.add(one);
  both.add(Content("b"));
  const std::string text = marks.text_of(both), again = marks.text_of(Content(one));
  const std::string forged = others.text_of(Content(one));  // somebody's who knows what marks are
  EXPECT_EQ(marks.count(), 2u);
  EXPECT_EQ(shown(*marks.split({{"user:", true}, {text + forged, false}, {again, false}})),
            "<user:>a[0]b" + forged + "[1]");
  EXPECT_EQ(shown(*marks.split({{again + text, false}})), "[1]a[0]b");
  EXPECT_EQ(marks.split({{text, false}}).error().message,
            "the model's chat template leaves out picture or sound 2 of 2");
  EXPECT_EQ(
      marks.split({{text, false}, {again.substr(0, again.size() - 1), false}}).error().message,
      "the model's chat template cuts the place of a picture or sound apart");
  EXPECT_EQ(marks.split({{text + text + again, false}}).error().message,
            "the model's chat template has picture or sound 1 twice");
  EXPECT_EQ(shown(*MediaMarks().split({{"x", true}, {"y", false}})), "<x>y");
}

}  // namespace
}  // namespace lathe::serve
