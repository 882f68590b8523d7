// A short convolution between two gates (LFM2) in training.
#pragma once

#include "infer/tune/convolution.h"

namespace lathe::infer {

class ShortConvolutionPart final : public TunePart {
 public:
  ShortConvolutionPart(TunePass& pass, std::size_t layer);
  void take_exact(TakenRows&) override {}
  void take_kept(TakenRows& rows) override;
  void take_scratch(TakenRows& rows) override;
  void forward(Rows in, Rows out, bool wanted) override;
  void backward(Rows in, Rows d_out, Rows d_in) override;

 private:
  void convolve();

  TunePass& pass_;
  const std::size_t width_;
  ConvolutionRows convolution_;
  TapedLinear input_, output_;
  Rows mixed_, heads_;  // kept: b, c and x; c·convolution(b·x)
  Rows opened_, convolved_, d_heads_, d_opened_, d_mixed_;
};

}  // namespace lathe::infer
