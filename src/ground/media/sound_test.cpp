// Resampling, mixing, joining, and the header of a WAV file.
#include "ground/media/sound.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace lathe {
namespace {

std::vector<float> sine(double hertz, int rate, double seconds, double level, int channels = 1) {
  std::vector<float> out;
  const auto frames = static_cast<int>(seconds * rate);
  for (int i = 0; i < frames; ++i)
    for (int c = 0; c < channels; ++c)
      out.push_back(static_cast<float>(level * std::sin(2 * std::numbers::pi * hertz * i / rate)));
  return out;
}

Sound tone(double seconds, double level = 0.3) {
  return *make_sound(sine(440, kSoundRate, seconds, level), 1, kSoundRate);
}

double crossings_per_second(const Sound& sound) {
  int count = 0;
  for (std::size_t i = 1; i < sound.samples.size(); ++i)
    count += (sound.samples[i - 1] < 0) != (sound.samples[i] < 0);
  return count / sound.seconds();
}

TEST(Sound, KeepsPitchAndLengthWhenResampled) {
  for (const int rate : {8000, 22050, 44100, 48000, 192000}) {
    const auto sound = make_sound(sine(440, rate, 1.0, 0.5), 1, rate);
    ASSERT_TRUE(sound) << rate;
    EXPECT_NEAR(sound->seconds(), 1.0, 0.02) << rate;
    EXPECT_NEAR(crossings_per_second(*sound), 880, 20) << rate;
  }
}

TEST(Sound, MixesStereoToMonoAndSurvivesAnyFloat) {
  const auto mono = make_sound(sine(440, kSoundRate, 0.1, 0.5), 1, kSoundRate);
  const auto stereo = make_sound(sine(440, kSoundRate, 0.1, 0.5, 2), 2, kSoundRate);
  ASSERT_TRUE(mono && stereo);
  EXPECT_EQ(mono->samples, stereo->samples);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> wild{kInf, -kInf, NAN, 1e30F, -1e30F, 0};
  const auto tamed = make_sound(wild, 1, kSoundRate);
  ASSERT_TRUE(tamed);
  EXPECT_EQ(tamed->samples, (std::vector<std::int16_t>{0, 0, 0, 32767, -32768, 0}));
}

TEST(Sound, WritesAHeaderThatSaysWhatIsThere) {
  const std::string wav = wav_bytes({{1, -2, 300}});
  ASSERT_EQ(wav.size(), 50U);
  EXPECT_EQ(wav.substr(0, 4), "RIFF");
  EXPECT_EQ(wav.substr(4, 4), std::string("\x2a\0\0\0", 4));
  EXPECT_EQ(wav.substr(24, 4), std::string("\x80\x3e\0\0", 4));  // 16000
  EXPECT_EQ(wav.substr(40), std::string("\x06\0\0\0\x01\0\xfe\xff\x2c\x01", 10));
}

TEST(Sound, HasMoreSamplesASecond) {
  const auto faster = samples_at(tone(1).samples, kSoundRate, 24000);
  ASSERT_TRUE(faster);
  EXPECT_NEAR(static_cast<double>(faster->size()), 24000, 30);
}

TEST(Sound, KeepsARateThatIsWanted) {
  const std::vector<float> half{0.5F, -0.5F, 0.25F};
  EXPECT_EQ(*make_samples(half, 1, 24000, 24000), (std::vector<std::int16_t>{16384, -16384, 8192}));
  EXPECT_EQ(wav_head(0, 24000).substr(24, 8), std::string("\xc0\x5d\0\0\x80\xbb\0\0", 8));
}

TEST(Sound, JoinsWithPauses) {
  const std::vector<Sound> sounds{tone(0.5), tone(0.25), tone(0.25)};
  EXPECT_DOUBLE_EQ(joined(sounds, 0.1).seconds(), 1.2);
  EXPECT_DOUBLE_EQ(joined({}, 0.1).seconds(), 0);
}

}  // namespace
}  // namespace lathe
