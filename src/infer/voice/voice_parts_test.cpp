// The parts of a tiny voice with random weights against llama.cpp's codes and an independent
// float64 evaluation; and the same bits on every kernel table, with any number of threads and in
// pieces of any size.
#include <gtest/gtest.h>

#include "infer/voice/voice_test.h"

namespace lathe::infer {
namespace {

std::int32_t likeliest(std::size_t, std::span<const float> logits) {
  return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
}

TEST(CodePredictor, GivesTheCodesAndTheirSum) {
  const std::vector<float> states = read_floats(media("qwen3tts.code.h.f32"));
  const std::vector<std::int32_t> expected = read_codes("qwen3tts.code.codes.i32");
  for (const KernelTable* kernels : kernel_tables()) {
    VoiceParts parts(*kernels);
    const std::size_t width = parts.predictor->embedding(), books = parts.predictor->books();
    ASSERT_EQ(books, 16u);
    std::vector<std::int32_t> codes;
    std::vector<float> sums;
    for (std::size_t i = 0; i * width < states.size(); ++i) {
      const auto frame = *parts.predictor->predict(std::span(states).subspan(i * width, width),
                                                   expected[i * books], likeliest, nullptr);
      codes.insert(codes.end(), frame.codes.begin(), frame.codes.end());
      sums.insert(sums.end(), frame.sum.begin(), frame.sum.end());
    }
    EXPECT_EQ(codes, expected) << kernels->name;
    EXPECT_LT(relative_error(sums, read_floats(media("qwen3tts.code.embd.f32"))), 5e-5);
  }
}

TEST(WaveDecoder, IsTheTruthInPiecesOfAnySize) {
  const std::vector<std::int32_t> codes = read_codes("qwen3tts.wav.codes.i32");
  const std::vector<float> truth = read_floats(media("qwen3tts.wav.pcm.truth.f32"));
  std::vector<float> first;
  for (const KernelTable* kernels : kernel_tables()) {
    const bool slow = kernels == kernel_tables().front() && kernel_tables().size() > 1;
    for (const int threads : slow ? std::vector{2} : std::vector{1, 3}) {
      VoiceParts parts(*kernels, threads);
      const std::size_t books = parts.decoder->books(), frames = codes.size() / books;
      EXPECT_EQ(parts.decoder->frame_samples() * frames, truth.size());
      for (const std::size_t piece :
           slow ? std::vector{frames} : std::vector{frames, std::size_t{7}}) {
        WaveDecoder::Past past;
        std::vector<float> samples;
        for (std::size_t at = 0; at < frames; at += piece) {
          const auto own =
              std::span(codes).subspan(at * books, std::min(piece, frames - at) * books);
          const auto more = *parts.decoder->decode(own, past, nullptr);
          samples.insert(samples.end(), more.begin(), more.end());
        }
        if (first.empty()) first = samples;
        ASSERT_EQ(samples, first) << kernels->name << " " << threads << " " << piece;
      }
    }
  }
  EXPECT_LT(relative_error(first, truth), 5e-5);
}

TEST(SpeakerEncoder, IsTheTruth) {
  std::vector<float> first;
  for (const KernelTable* kernels : kernel_tables()) {
    for (const int threads : {1, 3}) {
      VoiceParts parts(*kernels, threads);
      const auto row = *parts.speaker->embed(reference_samples(), nullptr);
      if (first.empty()) first = row;
      EXPECT_EQ(row, first) << kernels->name << " " << threads;
    }
  }
  EXPECT_LT(relative_error(first, read_floats(media("qwen3tts.spk.embd.truth.f32"))), 5e-5);
}

TEST(SpeakerEncoder, HearsAsItWasTrainedTo) {
  VoiceParts parts;
  const auto samples = reference_samples();
  const MelReader reader(samples, parts.speaker->bank(), parts.team);
  const MelFrames mel = reader.read(0, reader.frames());
  const std::vector<float> theirs = read_floats(media("qwen3tts.spk.mel.f32"));  // (bins, frames)
  ASSERT_EQ(theirs.size(), mel.values.size());
  for (std::size_t t = 0; t < mel.frames; ++t)
    for (std::size_t b = 0; b < mel.bins; ++b)
      ASSERT_NEAR(mel.values[t * mel.bins + b], theirs[b * mel.frames + t], 3e-4) << t << " " << b;
}

TEST(SpeakerEncoder, TooShortARecordingIsRefused) {
  VoiceParts parts;
  const auto row = parts.speaker->embed(std::vector<std::int16_t>(5999), nullptr);
  ASSERT_FALSE(row);
  EXPECT_THAT(row.error().message, ::testing::HasSubstr("a quarter of a second"));
  EXPECT_TRUE(parts.speaker->embed(std::vector<std::int16_t>(6000), nullptr));
}

TEST(Snake, SineSquaredIsExact) {
  for (double x = -3000; x < 3000; x += 0.37)
    EXPECT_NEAR(sine_squared(x), std::pow(std::sin(x), 2), 1e-9);
  EXPECT_NEAR(sine_squared(1e8), std::pow(std::sin(1e8), 2), 1e-6);
}

}  // namespace
}  // namespace lathe::infer
