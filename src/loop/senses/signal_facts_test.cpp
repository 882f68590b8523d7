// Levelling, and what a signal tells of its faults.
#include "loop/senses/signal_facts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace lathe::loop {
namespace {

std::vector<float> sine(double hertz, int rate, double seconds, double level) {
  std::vector<float> out;
  const auto frames = static_cast<int>(seconds * rate);
  for (int i = 0; i < frames; ++i)
    out.push_back(static_cast<float>(level * std::sin(2 * std::numbers::pi * hertz * i / rate)));
  return out;
}

Sound tone(double seconds, double level = 0.3) {
  return *make_sound(sine(440, kSoundRate, seconds, level), 1, kSoundRate);
}

// Bursts of tone with short gaps, between two stretches of near-silence: what speech looks like to
// a level meter.
Sound speech_like() {
  Sound out;
  for (int burst = 0; burst < 8; ++burst) {
    const Sound on = tone(0.2), off = with_gain(tone(0.06), -60);
    out.samples.insert(out.samples.end(), on.samples.begin(), on.samples.end());
    out.samples.insert(out.samples.end(), off.samples.begin(), off.samples.end());
  }
  return padded(out, 0.25);
}

TEST(Loudness, IsLevelledToTheTargetWithinThePeak) {
  for (const double level : {0.001, 0.05, 0.9}) {
    const Loudness loudness = loudness_of(levelled(tone(2, level)));
    EXPECT_NEAR(loudness.lufs, -18, 0.3) << level;
    EXPECT_LE(loudness.true_peak_db, -0.9);
  }
  // One loud click in quiet sound: the peak holds the gain back.
  Sound clicky = tone(2, 0.01);
  clicky.samples[5000] = 30000;
  EXPECT_LE(loudness_of(levelled(clicky)).true_peak_db, -0.9);
  // Too short for EBU's blocks, and silence.
  EXPECT_NEAR(loudness_of(levelled(tone(0.1))).lufs, -18, 0.5);
  EXPECT_EQ(levelled(Sound{std::vector<std::int16_t>(1000)}).samples,
            std::vector<std::int16_t>(1000));
  EXPECT_TRUE(levelled({}).samples.empty());
}

TEST(SignalFacts, FindNothingWrongWithACleanTake) {
  const SignalFacts facts = signal_facts(speech_like());
  EXPECT_FALSE(facts.silent);
  EXPECT_NEAR(facts.speech_start, 0.25, 0.02);
  EXPECT_NEAR(facts.speech_end, 0.25 + 8 * 0.26 - 0.06, 0.02);
  EXPECT_LT(facts.end_db, -60);
  EXPECT_LT(facts.start_db, -60);
  EXPECT_TRUE(facts.dropouts.empty());
  EXPECT_LT(facts.silence_s, 0.1);
  EXPECT_GT(facts.range_db, 30);
  EXPECT_EQ(facts.clipped_runs, 0);
}

TEST(SignalFacts, SeeACutEnd) {
  Sound sound = speech_like();
  sound.samples.resize(static_cast<std::size_t>(1.1 * kSoundRate));
  EXPECT_GT(signal_facts(sound).end_db, -32);
}

TEST(SignalFacts, SeeADropoutAndItsPlace) {
  Sound sound = speech_like();
  const auto from = sound.samples.begin() + static_cast<std::ptrdiff_t>(0.85 * kSoundRate);
  std::fill(from, from + static_cast<std::ptrdiff_t>(0.4 * kSoundRate), std::int16_t{0});
  const SignalFacts facts = signal_facts(sound);
  ASSERT_EQ(facts.dropouts.size(), 1U);
  EXPECT_NEAR(facts.dropouts[0].seconds, 0.4, 0.01);
  EXPECT_NEAR(facts.dropouts[0].at, 0.85, 0.01);
  EXPECT_LT(level_between(sound, 0.9, 1.2), -60);
  EXPECT_NEAR(level_between(sound, 0.3, 0.8), 0, 1);
}

TEST(SignalFacts, TellAPauseThatFadesFromADropout) {
  Sound sound = speech_like();
  Sound fade = sound;  // 60 ms of falling level, then nothing, then rising again
  const auto at = [](double s) { return static_cast<std::size_t>(s * kSoundRate); };
  for (std::size_t i = at(0.85); i < at(1.35); ++i) fade.samples[i] = 0;
  for (std::size_t i = at(0.75); i < at(0.85); ++i)
    fade.samples[i] = static_cast<std::int16_t>(fade.samples[i] / 100);
  for (std::size_t i = at(1.35); i < at(1.45); ++i)
    fade.samples[i] = static_cast<std::int16_t>(fade.samples[i] / 100);
  const SignalFacts facts = signal_facts(fade);
  EXPECT_TRUE(facts.dropouts.empty());
  EXPECT_GT(facts.silence_s, 0.4);
}

TEST(SignalFacts, SeeClippingAndNoise) {
  const SignalFacts clipped = signal_facts(with_gain(speech_like(), 32));
  EXPECT_GT(clipped.clipped_runs, 100);
  Sound noisy = speech_like();
  unsigned random = 1;
  for (std::int16_t& sample : noisy.samples) {
    random = random * 1664525 + 1013904223;
    sample = static_cast<std::int16_t>(
        std::clamp<int>(sample + static_cast<int>(random >> 20) - 2048, -32768, 32767));
  }
  EXPECT_LT(signal_facts(noisy).range_db, 20);
}

TEST(SignalFacts, CallNothingSilent) {
  EXPECT_TRUE(signal_facts({}).silent);
  EXPECT_TRUE(signal_facts({std::vector<std::int16_t>(50)}).silent);
  EXPECT_TRUE(signal_facts({std::vector<std::int16_t>(16000)}).silent);
  EXPECT_TRUE(signal_facts({std::vector<std::int16_t>(16000, 3)}).silent);
}

}  // namespace
}  // namespace lathe::loop
