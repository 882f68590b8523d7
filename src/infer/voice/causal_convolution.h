// Convolutions over rows that come in pieces: none sees ahead, and what they still need of the rows
// before is kept with whoever streams. The bits are those of all rows at once. Immutable once
// loaded; one thread at a time, but for what the team is given.
#pragma once

#include "infer/encoders/layers.h"

namespace lathe::infer {

// Some rows one behind the other.
struct RowBuffer {
  std::size_t count = 0, width = 0;
  std::vector<float> values;  // (count, width)

  static RowBuffer of(std::size_t count, std::size_t width) {
    return {count, width, std::vector<float>(count * width)};
  }
  float* row(std::size_t i) { return values.data() + i * width; }
  const float* row(std::size_t i) const { return values.data() + i * width; }
};

// The last rows of a convolution's input; empty: silence came before.
using PastRows = std::vector<float>;

// y[t] = b + Σ W[tap] · x[t − (taps − 1 − tap) · dilation]
class CausalConvolution {
 public:
  // `name`.weight (out, in, taps), .bias.
  void ask(WeightList& list, const std::string& name, std::size_t in, std::size_t out,
           std::size_t taps, std::size_t dilation = 1);
  RowBuffer run(EncoderPass& pass, const RowBuffer& in, PastRows& past) const;

 private:
  LinearLayer linear_;
  std::size_t in_ = 0, taps_ = 0, dilation_ = 0;
};

// The same, each channel for itself.
class ChannelConvolution {
 public:
  void ask(WeightList& list, const std::string& name, std::size_t width, std::size_t taps);
  RowBuffer run(EncoderPass& pass, const RowBuffer& in, PastRows& past) const;

 private:
  std::vector<float> taps_of_, bias_;  // (width, taps), (width)
  std::size_t taps_ = 0;
};

// A transposed convolution: a row becomes `stride` rows. The kernel is as long as they are, or
// twice as long; then its second half falls on the rows that the next one becomes.
class WideningConvolution {
 public:
  static constexpr std::size_t kMostStride = 16;
  // `name`.weight (in, out, taps), .bias; the stride is 1/`overlap` of the taps that the file has.
  void ask(WeightList& list, const std::string& name, std::size_t in, std::size_t out,
           std::size_t overlap);
  std::size_t stride() const { return stride_; }
  std::size_t taps() const { return stride_ * overlap_; }
  std::size_t width() const { return out_; }
  RowBuffer run(EncoderPass& pass, const RowBuffer& in, PastRows& past) const;

 private:
  std::vector<float> weights_, bias_;  // (in, out, taps), (out)
  std::size_t in_ = 0, out_ = 0, stride_ = 0, overlap_ = 1;
};

}  // namespace lathe::infer
