// Short convolutions over documents, forward and backward.
#include "infer/tune/convolution.h"

#include <algorithm>
#include <array>

#include "infer/cpu/short_convolution.h"

namespace lathe::infer {

void convolve_documents(TunePass& pass, const ConvolutionRows& convolution, Rows in, Rows out) {
  const std::size_t taps = convolution.taps;
  const std::vector<float> nothing(convolution.channels, 0.0f);
  for (const Document& document : pass.documents)
    pass.team.run(document.count, [&](std::size_t i, int) {
      std::array<const float*, ShortConvolution::kMostTaps> seen;
      for (std::size_t j = 0; j < taps; ++j)
        seen[j] = i + j + 1 < taps ? nothing.data() : in.row(document.first + i + j + 1 - taps);
      pass.kernels.recurrent.convolve(seen.data(), convolution.weight.value, convolution.bias.value,
                                      taps, convolution.channels, out.row(document.first + i));
    });
}

void convolve_documents_backward(TunePass& pass, const ConvolutionRows& convolution, Rows in,
                                 Rows d_out, Rows d_in) {
  const std::size_t taps = convolution.taps;
  const Weights &weight = convolution.weight, &bias = convolution.bias;
  // Channels [from, end) of the i-th token of a document.
  const auto token = [&](const Document& document, std::size_t i, std::size_t from,
                         std::size_t end) {
    const std::size_t t = document.first + i;
    float* d = d_in.row(t);
    std::fill(d + from, d + end, 0.0f);
    // A later output saw this input by tap j; this output saw an earlier input by it.
    for (std::size_t j = 0; j < taps; ++j) {
      const std::size_t back = taps - 1 - j;
      if (i + back < document.count)
        for (std::size_t c = from; c < end; ++c)
          d[c] += weight.value[c * taps + j] * d_out.row(t + back)[c];
      if (weight.gradient != nullptr && i >= back)
        for (std::size_t c = from; c < end; ++c)
          weight.gradient[c * taps + j] += d_out.row(t)[c] * in.row(t - back)[c];
    }
    if (bias.gradient != nullptr)
      for (std::size_t c = from; c < end; ++c) bias.gradient[c] += d_out.row(t)[c];
  };
  constexpr std::size_t kColumns = 64;
  const std::size_t channels = convolution.channels;
  pass.team.run((channels + kColumns - 1) / kColumns, [&](std::size_t piece, int) {
    const std::size_t from = piece * kColumns, end = std::min(channels, from + kColumns);
    for (const Document& document : pass.documents)
      for (std::size_t i = 0; i < document.count; ++i) token(document, i, from, end);
  });
}

void silu_backward(const KernelTable& kernels, const float* x, std::size_t n, float* d) {
  std::vector<float> slope(n);
  kernels.recurrent.sigmoid(x, n, slope.data());
  for (std::size_t c = 0; c < n; ++c) d[c] *= slope[c] * (1 + x[c] * (1 - slope[c]));
}

}  // namespace lathe::infer
