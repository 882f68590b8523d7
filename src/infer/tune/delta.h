// The way back through a gated delta net's recurrence (kernels/recurrent_kernels.h), one head of
// one document, from its first token on. The states before each token are not kept: those at the
// beginnings of stretches are computed again first, then, stretch by stretch from the last one,
// those within; both are the forward pass's to the bit. Memory: about 2·√tokens states. Any thread.
#pragma once

#include "infer/kernels/kernels.h"

namespace lathe::infer {

// Rows as far apart as those of DeltaArgs: dq, dk, dv `stride`, d_decay and d_beta
// `scalar_stride`.
struct DeltaGradients {
  const float* d_out;
  std::size_t d_out_stride;
  float *dq, *dk;  // are added to: heads share them
  float *dv, *d_decay, *d_beta;
};

// Of a delta net's heads of this size, for documents of at most so many tokens.
std::size_t delta_backward_floats(std::size_t size, std::size_t tokens);
// The state and what it gives (DeltaArgs::state, out, out_stride) are not read: `room` holds them.
void delta_backward(const KernelTable& kernels, const DeltaArgs& forward,
                    const DeltaGradients& gradients, float* room);

}  // namespace lathe::infer
