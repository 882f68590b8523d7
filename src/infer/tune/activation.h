// What a feed-forward part makes of its gate and its input, forward and backward, one row. All
// tables of kernels give the same bits.
#pragma once

#include "infer/kernels/kernels.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

// gate is not read where the activation has none.
void activate(const KernelTable& kernels, Activation kind, const float* gate, const float* up,
              std::size_t n, float* hidden);
// d_gate (if there is a gate) and d_up of hidden. d_gate may be gate, d_up may be up or d_hidden.
void activate_backward(const KernelTable& kernels, Activation kind, const float* gate,
                       const float* up, const float* d_hidden, std::size_t n, float* d_gate,
                       float* d_up);

}  // namespace lathe::infer
