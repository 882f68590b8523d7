// A causal convolution over a few tokens, each channel on its own, in training: what recurrent
// layers begin with. Every document begins behind zeros.
#pragma once

#include "infer/tune/part.h"

namespace lathe::infer {

struct ConvolutionRows {
  std::size_t channels = 0, taps = 0;
  Weights weight = {};  // (channels, taps)
  Weights bias = {};    // (channels); value nullptr: none
};

void convolve_documents(TunePass& pass, const ConvolutionRows& convolution, Rows in, Rows out);
// d_in is written; the gradients of weights and bias are added to in the order of the tokens.
void convolve_documents_backward(TunePass& pass, const ConvolutionRows& convolution, Rows in,
                                 Rows d_out, Rows d_in);

// d times the slopes of silu at x, of n channels.
void silu_backward(const KernelTable& kernels, const float* x, std::size_t n, float* d);

}  // namespace lathe::infer
