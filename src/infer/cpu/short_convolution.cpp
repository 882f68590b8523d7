// The convolution that recurrent layers begin with.
#include "infer/cpu/short_convolution.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace lathe::infer {

void ShortConvolution::run(Step& step, std::size_t tokens, const Rows& rows, float* carried) const {
  const std::size_t before = taps - 1;
  const auto input = [&](std::size_t t) { return rows.input + t * rows.input_stride; };
  step.team->run(tokens, [&](std::size_t t, int) {
    std::array<const float*, kMostTaps> seen;
    for (std::size_t j = 0; j < taps; ++j)
      seen[j] = t + j < before ? carried + (t + j) * channels : input(t + j - before);
    step.kernels().recurrent.convolve(seen.data(), weights, bias, taps, channels,
                                      rows.output + t * rows.output_stride);
  });
  const std::size_t fresh = std::min(tokens, before), kept = before - fresh;
  std::memmove(carried, carried + fresh * channels, kept * channels * sizeof(float));
  for (std::size_t i = 0; i < fresh; ++i)
    std::memcpy(carried + (kept + i) * channels, input(tokens - fresh + i),
                channels * sizeof(float));
}

}  // namespace lathe::infer
