// Frames of sound through convolutions and layers.
#include "infer/encoders/whisper_encoder.h"

#include <algorithm>

#include "infer/quant/tensor_type.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kTaps = 3;

// What a kernel of three taps around row `at` reads of `in` (rows, width): channel by channel, as
// the file has the kernel. Zeros beyond the ends.
void gather_taps(const float* in, std::size_t rows, std::size_t width, std::size_t at, bool half,
                 float* to) {
  for (std::size_t tap = 0; tap < kTaps; ++tap) {
    const std::size_t row = at + tap;  // one further than it is
    const bool there = row >= 1 && row <= rows;
    for (std::size_t c = 0; c < width; ++c)
      to[c * kTaps + tap] = there ? in[(row - 1) * width + c] : 0;
  }
  if (!half) return;
  for (std::size_t i = 0; i < kTaps * width; ++i) to[i] = f16_to_f32(f32_to_f16(to[i]));
}

}  // namespace

WhisperEncoder::WhisperEncoder(WeightList& list, const VitSpec& spec, std::size_t bins,
                               std::size_t rows)
    : width_(spec.width), activation_(spec.activation), layers_(list, "a", spec) {
  first_.ask(list, "a.conv1d.1", kTaps * bins, width_);
  second_.ask(list, "a.conv1d.2", kTaps * width_, width_);
  list.numbers("a.position_embd.weight", rows * width_, &positions_);
}

void WhisperEncoder::use_half_convolutions() {
  half_ = true;
  first_.round_to_half();
  second_.round_to_half();
}

Status WhisperEncoder::run(EncoderPass& pass, const MelFrames& mel) const {
  LATHE_CHECK(mel.frames == 2 * rows());
  const auto activate_rows = [&](float* x, std::size_t count) {
    pass.team->run(count, [&](std::size_t i, int) {
      activate(pass.kernels(), activation_, x + i * width_, width_);
    });
  };
  std::vector<float> frames(mel.frames * width_);
  run_linear(
      pass, first_, mel.frames,
      [&](std::size_t i, float* to) {
        gather_taps(mel.values.data(), mel.frames, mel.bins, i, half_, to);
      },
      frames.data(), width_);
  activate_rows(frames.data(), mel.frames);
  run_linear(
      pass, second_, rows(),
      [&](std::size_t i, float* to) {
        gather_taps(frames.data(), mel.frames, width_, 2 * i, half_, to);
      },
      pass.x.data(), width_);
  activate_rows(pass.x.data(), rows());
  pass.team->run(rows(), [&](std::size_t i, int) {
    pass.kernels().add(positions_.data() + i * width_, width_, pass.x.data() + i * width_);
  });
  return layers_.run(pass, rows());
}

}  // namespace lathe::infer
