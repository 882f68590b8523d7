// A tiny voice speaks: the same samples for the same seed however it is computed, prompts as the
// talker was trained to read them, ends that are where they have to be.
#include <gtest/gtest.h>

#include "infer/voice/voice_test.h"

namespace lathe::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

VoiceWish short_wish() {
  VoiceWish wish;
  wish.most_frames = 30;
  wish.seed = 7;
  return wish;
}

TEST(Voice, SaysTheSameForASeedHoweverItIsComputed) {
  std::vector<std::int16_t> first;
  for (const KernelTable* kernels : kernel_tables()) {
    for (const int threads : {1, 3}) {
      LoadedVoice loaded(*kernels, threads);
      const SpokenText spoken = loaded.speak("the water is in the stone", short_wish());
      ASSERT_GT(spoken.frames, 12u) << "the tiny voice ends too soon for this test";
      EXPECT_EQ(loaded.samples.size(), spoken.frames * 96);
      EXPECT_EQ(loaded.pieces, (spoken.frames + 11) / 12);
      if (first.empty()) first = loaded.samples;
      EXPECT_EQ(loaded.samples, first) << kernels->name << " " << threads;
    }
  }
}

TEST(Voice, HearsTextSeedLanguageAndSpeaker) {
  LoadedVoice loaded;
  const auto said = [&](std::string_view text, const VoiceWish& wish) {
    loaded.speak(text, wish);
    return loaded.samples;
  };
  const auto plain = said("one", short_wish());
  EXPECT_EQ(said("  one\n", short_wish()), plain);
  EXPECT_NE(said("two", short_wish()), plain);
  VoiceWish wish = short_wish();
  wish.seed = 8;
  EXPECT_NE(said("one", wish), plain);
  EXPECT_THAT(loaded.voice->languages(), ElementsAre("chinese", "english"));
  wish = short_wish();
  wish.language = "english";
  EXPECT_NE(said("one", wish), plain);
  wish = short_wish();
  wish.speaker = *loaded.voice->speaker(reference_samples(), nullptr);
  EXPECT_NE(said("one", wish), plain);
  EXPECT_EQ(said("one", short_wish()), plain) << "nothing stays of what was said before";
}

// As the talker was trained: by the ids of the vocabulary's words.
TEST(VoicePrompt, StandsAsTheTalkerWasTrained) {
  const Gguf talker = *Gguf::open(talker_file());
  const VoicePrompt prompt = *VoicePrompt::of(talker, 3072);
  constexpr TokenId kCodes = 165, kPad = 162, kBegin = 163, kEnd = 164;
  constexpr TokenId kCodePad = kCodes + 2148, kCodeBegin = kCodes + 2149;
  EXPECT_EQ(prompt.first_code(), kCodes);
  EXPECT_EQ(prompt.end(), 2150u);
  EXPECT_EQ(prompt.text_pad(), kPad);
  std::vector<PromptRow> expected;
  for (const TokenId word : prompt.tokenizer().encode("<|im_start|>assistant\n", false, true))
    expected.push_back({word, kNoToken});
  EXPECT_EQ(expected.front().word, 160);
  const auto role = expected;
  for (const TokenId code : {2155, 2156, 2157}) expected.push_back({kPad, kCodes + code});
  expected.push_back({kBegin, kCodePad});
  for (const TokenId word : prompt.tokenizer().encode("the stone", false, false))
    expected.push_back({word, kCodePad});
  expected.push_back({kEnd, kCodePad});
  expected.push_back({kPad, kCodeBegin});
  EXPECT_EQ(*prompt.rows("the stone", "", false), expected);

  const auto own = *prompt.rows("the stone", "english", true);
  ASSERT_EQ(own.size(), expected.size() + 2);
  for (std::size_t i = 0; i < 4; ++i) {
    constexpr TokenId kThought[] = {2154, 2156, 2050, 2157};
    EXPECT_EQ(own[role.size() + i], (PromptRow{kPad, kCodes + kThought[i]}));
  }
  EXPECT_EQ(own[role.size() + 4], (PromptRow{kPad, kNoToken, true}));
  EXPECT_TRUE(std::ranges::equal(std::span(own).subspan(role.size() + 5),
                                 std::span(expected).subspan(role.size() + 3)));
  // What a text holds is text.
  const auto named = *prompt.rows("<|codec_eos_token|><tts_pad>", "", false);
  for (const PromptRow& row : named) EXPECT_NE(row.word, kCodes + 2150);
}

TEST(Voice, EndsWhereItsFramesOrItsReaderEnd) {
  LoadedVoice loaded;
  VoiceWish wish = short_wish();
  wish.most_frames = 5;
  const SpokenText spoken = loaded.speak("one", wish);
  EXPECT_EQ(spoken.frames, 5u);
  EXPECT_FALSE(spoken.ended);
  EXPECT_EQ(loaded.pieces, 1u);
  const auto refused = loaded.voice->speak(
      "one", short_wish(), nullptr,
      [](std::span<const std::int16_t>) { return fail(ErrorKind::kUnavailable, "no more room"); });
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no more room"));
  StopFlag stop;
  stop.raise();
  const auto stopped = loaded.voice->speak("one", short_wish(), &stop,
                                           [](std::span<const std::int16_t>) { return Status{}; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);
}

// A talker that has nothing to say but the end.
TEST(Voice, EndsWhenTheTalkerSaysSo) {
  EditedFile edited = EditedFile::of(talker_file());
  auto& output = edited.tensor("output.weight");
  auto* rows = reinterpret_cast<float*>(output.bytes.data());
  std::fill_n(rows, 3072 * 32, 0.0F);
  auto& norm = edited.tensor("output_norm.weight");
  std::fill_n(reinterpret_cast<float*>(norm.bytes.data()), 32, 0.0F);
  const Gguf talker = *Gguf::open(edited.write("silent")), rest = *Gguf::open(rest_file());
  ThreadTeam team(1);
  WeightLoading loading;
  loading.kernels = &best_kernel_table();
  const auto voice = *Voice::open(talker, rest, team, loading);
  VoiceWish wish;
  wish.most_frames = 2000;
  const auto spoken =
      *voice->speak("one", wish, nullptr, [](std::span<const std::int16_t>) { return Status{}; });
  EXPECT_TRUE(spoken.ended);
  EXPECT_LT(spoken.frames, 2000u);
}

TEST(Voice, RefusesWhatItCannotSay) {
  LoadedVoice loaded;
  const auto refusal = [&](std::string_view text, const VoiceWish& wish) {
    const auto spoken = loaded.voice->speak(text, wish, nullptr,
                                            [](std::span<const std::int16_t>) { return Status{}; });
    return spoken ? std::string("it speaks") : spoken.error().message;
  };
  EXPECT_THAT(refusal(" \n", short_wish()), HasSubstr("no text"));
  VoiceWish wish = short_wish();
  wish.language = "klingon";
  EXPECT_THAT(refusal("one", wish), HasSubstr("'klingon' is none of this voice's languages: "
                                              "chinese, english"));
  wish = short_wish();
  wish.speaker.resize(31);
  EXPECT_THAT(refusal("one", wish), HasSubstr("31"));
  wish = short_wish();
  wish.temperature = -1;
  EXPECT_THAT(refusal("one", wish), HasSubstr("temperature"));
  EXPECT_THAT(refusal(std::string(4097, '#'), short_wish()), HasSubstr("in parts"));
}

}  // namespace
}  // namespace lathe::infer
