// Transforms against their definition, spectrograms against those of the reference programs, and
// the same frames however they are asked for.
#include "infer/encoders/mel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <random>

#include "infer/encoders/encoder_test.h"

namespace lathe::infer {
namespace {

TEST(Fourier, IsTheSumThatDefinesIt) {
  std::mt19937 random(1);
  for (const std::size_t n : {1, 2, 7, 30, 97, 400, 512}) {
    std::vector<double> samples(n);
    for (double& sample : samples) sample = static_cast<double>(random() % 2001) / 1000 - 1;
    Fourier::Work work;
    Fourier(n).transform(samples, work);
    for (std::size_t k = 0; k < n; ++k) {
      std::complex<double> sum = 0;
      for (std::size_t i = 0; i < n; ++i)
        sum += std::polar(samples[i], -2 * std::numbers::pi * static_cast<double>(i * k % n) /
                                          static_cast<double>(n));
      EXPECT_LT(std::abs(work.output[k] - sum), 1e-10) << n << " " << k;
    }
  }
}

// Files have (bins, frames kept): the first 96, then one of 200 from 320 on.
void expect_mel(const MelFrames& mel, const std::string& name) {
  const std::vector<float> known = read_floats(media(name));
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < mel.frames; i += i + 1 < 96 ? 1 : i < 96 ? 225 : 200)
    kept.push_back(i);
  ASSERT_EQ(known.size(), mel.bins * kept.size()) << name;
  double worst = 0;
  for (std::size_t b = 0; b < mel.bins; ++b)
    for (std::size_t i = 0; i < kept.size(); ++i)
      worst = std::max<double>(
          worst, std::abs(known[b * kept.size() + i] - mel.values[kept[i] * mel.bins + b]));
  EXPECT_LT(worst, 3e-4) << name;
}

TEST(Mel, IsWhatEncodersWereTrainedOn) {
  const std::vector<std::int16_t> samples = three_seconds();
  ThreadTeam team(2);
  const auto check = [&](const MelSpec& spec, std::size_t frames, std::size_t count,
                         const std::string& name) {
    const MelBank bank(spec);
    const MelReader reader(samples, bank, team);
    EXPECT_EQ(reader.frames(), frames) << name;
    expect_mel(reader.read(0, count), name);
  };
  check(whisper_mel(80), 3301, 3000, "ultravox.s3.mel.f32");
  check(whisper_mel(128), 3301, 3000, "qwen2a.s3.mel.f32");
  check(qwen3_mel(128), 301, 400, "qwen3a.s3.mel.f32");
  check(gemma4_mel(128), 299, 299, "gemma4a.s3.mel.f32");
}

TEST(Mel, AFrameDoesNotDependOnHowItIsAskedFor) {
  const std::vector<std::int16_t> samples = three_seconds();
  ThreadTeam one(1), three(3);
  const MelBank bank(whisper_mel(80));
  const MelReader reader(samples, bank, one), other(samples, bank, three);
  const MelFrames all = reader.read(0, 400);
  for (const std::size_t first : {0, 1, 99, 301, 399}) {
    const MelFrames part = other.read(first, 400 - first);
    EXPECT_EQ(std::memcmp(part.values.data(), all.values.data() + first * all.bins,
                          part.values.size() * sizeof(float)),
              0);
  }
  // Nothing stands behind the last one.
  const MelFrames behind = reader.read(reader.frames() - 1, 3);
  EXPECT_EQ(behind.values[3 * all.bins - 1], 0);
  EXPECT_NE(behind.values[0], 0);
}

TEST(Mel, ASoundOfAFewSamplesAndSilenceHaveFrames) {
  ThreadTeam team(1);
  for (const MelSpec& spec : {whisper_mel(80), qwen3_mel(128), gemma4_mel(128)}) {
    const MelBank bank(spec);
    for (const std::size_t size : {0, 1, 2, 160, 161, 201, 1000}) {
      const std::vector<std::int16_t> silence(size);
      const MelReader reader(silence, bank, team);
      const MelFrames mel = reader.read(0, 100);
      for (std::size_t i = 0; i < mel.values.size(); ++i) {
        const bool there = i < reader.frames() * mel.bins;
        const double log =
            spec.log == MelSpec::Log::kLn ? std::log(spec.floor) : (std::log10(spec.floor) + 4) / 4;
        ASSERT_FLOAT_EQ(mel.values[i], there ? static_cast<float>(log) : 0.0F);
      }
    }
  }
}

}  // namespace
}  // namespace lathe::infer
