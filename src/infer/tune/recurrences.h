// The way back through recurrences (kernels/recurrent_kernels.h), one head of one document, from
// its first token on. The states before each token are not kept: those at the beginnings of
// stretches are computed again first, then, stretch by stretch from the last one, those within;
// both are the forward pass's to the bit. Memory: about 2·√tokens states. Any thread.
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

// Of heads of a delta net, for documents of at most so many tokens.
std::size_t delta_backward_floats(std::size_t size, std::size_t tokens);
// The state and what it gives (DeltaArgs::state, out, out_stride) are not read: `room` holds them.
void delta_backward(const KernelTable& kernels, const DeltaArgs& forward,
                    const DeltaGradients& gradients, float* room);

// The same of a state-space layer. Rows as far apart as those of ScanArgs. What skips the state has
// no part in it but in dx.
struct ScanGradients {
  const float* d_out;
  std::size_t d_out_stride;
  float* dx;
  float *db, *dc;  // are added to: heads share them
  float *d_decay, *d_dt;
};
std::size_t scan_backward_floats(std::size_t states, std::size_t size, std::size_t tokens);
void scan_backward(const KernelTable& kernels, const ScanArgs& forward,
                   const ScanGradients& gradients, float* room);

}  // namespace lathe::infer
