// Sound through the confined workers: voices, ears.
#include "loop/senses/media_pool.h"

#include <gmock/gmock.h>

#include <thread>

#include "loop/senses/loudness.h"
#include "loop/senses/spoken.h"
#include "loop/senses/voice.h"

namespace lathe::loop {
namespace {

using ::testing::HasSubstr;

const fs::path kSelf = "/proc/self/exe";
constexpr Milliseconds kLimit{120'000};
const StopFlag kGo;

TEST(MediaPool, SaysThatNoWorkerCouldBeStarted) {
  MediaPool pool("/no/such/program", 1);
  const auto sound = pool.speak("hello", {}, kLimit, kGo);
  ASSERT_FALSE(sound);
  EXPECT_EQ(sound.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(sound.error().message, HasSubstr("/no/such/program"));
}

TEST(MediaPool, SpeaksTheSameBitsAgainWhateverCameBetween) {
  MediaPool pool(kSelf, 1), other(kSelf, 1);
  const std::string text = "The Fourier transform has two peaks.";
  const VoiceSetting plain{.voice = "slt"};
  VoiceSetting told = plain;
  told.pronounce["fourier"] = "F UH R IY EY";
  VoiceSetting slow = plain;
  slow.stretch = 1.2;
  slow.pitch = 0.9;
  const auto first = pool.speak(text, plain, kLimit, kGo);
  const auto with_word = pool.speak(text, told, kLimit, kGo);
  const auto slower = pool.speak(text, slow, kLimit, kGo);
  const auto again = pool.speak(text, plain, kLimit, kGo);
  const auto elsewhere = other.speak(text, told, kLimit, kGo);
  ASSERT_TRUE(first && with_word && slower && again && elsewhere);
  EXPECT_EQ(first->samples, again->samples);
  EXPECT_EQ(with_word->samples, elsewhere->samples);
  EXPECT_NE(first->samples, with_word->samples);
  EXPECT_GT(slower->seconds(), first->seconds() * 1.1);
  EXPECT_FALSE(pool.speak(text, {.voice = "nobody"}, kLimit, kGo));
}

TEST(MediaPool, HearsWhatWasSaidAndWhere) {
  MediaPool pool(kSelf, 1);
  const EarScript script{{{"the", "train", "leaves", "in", "two", "hours"}}, {}};
  const auto sound = pool.speak("The train leaves in two hours.", {}, kLimit, kGo);
  ASSERT_TRUE(sound) << sound.error().message;
  const auto hearing = pool.hear(script, *sound, script.lines[0], kLimit, kGo);
  ASSERT_TRUE(hearing) << hearing.error().message;
  EXPECT_TRUE(hearing->aligned);
  ASSERT_EQ(hearing->heard.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(hearing->heard[i].word, script.lines[0][i]);
    EXPECT_LT(hearing->heard[i].start, hearing->heard[i].end);
    EXPECT_LE(hearing->heard[i].end, sound->seconds());
    EXPECT_NEAR(hearing->expected[i].start, hearing->heard[i].start, 0.1);
    EXPECT_TRUE(hearing->expected[i].in_dictionary);
  }
  EXPECT_EQ(hearing->expected[1].pronunciations[0], "T R EY N");
}

TEST(MediaPool, KnowsWhichPronunciationsRestOnRules) {
  MediaPool pool(kSelf, 1);
  const std::vector<std::string> words{"kubernetes", "lighthouse", "blorptastic", "zorbly's"};
  const auto hearing = pool.hear({{words}, {{"kubernetes", "k uw b er n eh t iy z"}}},
                                 Sound{std::vector<std::int16_t>(8000)}, words, kLimit, kGo);
  ASSERT_TRUE(hearing) << hearing.error().message;
  EXPECT_TRUE(hearing->expected[0].in_dictionary);
  EXPECT_THAT(hearing->expected[0].pronunciations, ::testing::Contains("K UW B ER N EH T IY Z"));
  EXPECT_TRUE(hearing->expected[1].in_dictionary);
  EXPECT_FALSE(hearing->expected[2].in_dictionary);
  EXPECT_FALSE(hearing->expected[3].in_dictionary);
  EXPECT_TRUE(hearing->heard.empty());
}

TEST(MediaPool, IsSharedByThreadsAndScripts) {
  MediaPool pool(kSelf, 2);
  std::atomic<int> right{0};
  std::vector<std::thread> team;
  for (int t = 0; t < 3; ++t)
    team.emplace_back([&, t] {
      const std::vector<std::string> words{t == 0 ? "stop" : "go", "now"};
      const auto sound =
          speak_take(pool, t == 0 ? "Stop now." : "Go now.", {.voice = "flite:rms"}, kLimit, kGo);
      if (!sound) return;
      const auto hearing = pool.hear({{words}, {}}, *sound, words, kLimit, kGo);
      if (hearing && !hearing->heard.empty() && hearing->heard[0].word == words[0]) ++right;
    });
  for (std::thread& thread : team) thread.join();
  EXPECT_EQ(right, 3);
}

TEST(Voice, SpeaksLevelledAndPaddedWithBothEngines) {
  MediaPool pool(kSelf, 1);
  for (const std::string voice : {"flite:kal16", "espeak-ng:en-us+klatt3"}) {
    VoiceSetting setting{.voice = voice};
    setting.pronounce["gothenburg"] = "Y AA T AH B AO R IY";
    const auto take = speak_take(pool, "The ferry to Gothenburg.", setting, kLimit, kGo);
    ASSERT_TRUE(take) << take.error().message;
    const Loudness loudness = loudness_of(*take);
    EXPECT_GT(loudness.lufs, -24) << voice;
    EXPECT_LE(loudness.true_peak_db, -0.8) << voice;
    EXPECT_EQ(take->samples.front(), 0);
    EXPECT_EQ(take->samples.back(), 0);
    const auto again = speak_take(pool, "The ferry to Gothenburg.", setting, kLimit, kGo);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(take->samples, again->samples);
    const auto plain = speak_take(pool, "The ferry to Gothenburg.", {.voice = voice}, kLimit, kGo);
    ASSERT_TRUE(plain);
    EXPECT_NE(take->samples, plain->samples) << voice;
  }
}

TEST(Voice, NamesTheOnesThatThereAre) {
  EXPECT_TRUE(check_voice("flite:rms"));
  EXPECT_TRUE(check_voice("espeak-ng:de+f2"));
  for (const char* bad :
       {"", "flite:rsm", "espeak-ng:", "espeak-ng:-v", "espeak-ng:a b", "espeak-ng:../x", "rms"})
    EXPECT_FALSE(check_voice(bad)) << bad;
  EXPECT_THAT(check_voice("flite:rsm").error().message, HasSubstr("did you mean 'flite:rms'"));
}

TEST(Voice, AsksEspeakForASecondOpinion) {
  const auto phones = espeak_pronunciation("lighthouse", kGo);
  ASSERT_TRUE(phones) << phones.error().message;
  EXPECT_EQ(*phones, "L AY T HH AW S");
}

}  // namespace
}  // namespace lathe::loop
