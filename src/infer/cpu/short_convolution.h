// A causal convolution over a few tokens, each channel on its own: what some recurrent layers begin
// with. It carries the inputs of the last tokens from step to step. One thread, but for what the
// team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

struct ShortConvolution {
  static constexpr std::size_t kMostTaps = 64;

  const float* weights;  // (channels, taps)
  const float* bias;     // (channels); nullptr: none
  std::size_t channels, taps;

  // Rows of `input` and `output` are so far apart.
  struct Rows {
    const float* input;
    std::size_t input_stride;
    float* output;
    std::size_t output_stride;
  };
  // The tokens of one run. `carried` (taps − 1, channels): the inputs before them, the oldest
  // first; then those before the tokens that come next.
  void run(Step& step, std::size_t tokens, const Rows& rows, float* carried) const;
};

}  // namespace lathe::infer
