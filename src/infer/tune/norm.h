// Norms of rows in training, forward and backward: RMS norms, and layer norms without a bias. A row
// may be several pieces that are normed apart, with the same weights or each with its own.
#pragma once

#include "infer/tune/part.h"

namespace lathe::infer {

struct NormRows {
  NormKind kind = NormKind::kRms;
  Weights weight = {};  // (size), or (pieces, size)
  std::size_t size = 0, pieces = 1;
  bool own_weights = false;  // of each piece

  Weights of_piece(std::size_t piece) const {
    if (!own_weights) return weight;
    return {weight.value + piece * size,
            weight.gradient == nullptr ? nullptr : weight.gradient + piece * size};
  }
};

// out = the norms of x, of all tokens. In place allowed.
void norm_rows(TunePass& pass, const NormRows& norm, Rows x, Rows out);
// dx += the gradient of x, or, where dx is d_out itself, that gradient takes its place.
void norm_rows_backward(TunePass& pass, const NormRows& norm, Rows x, Rows d_out, Rows dx);

// One row: dx += the gradient of out = (x − mean)·f·weight, f = 1/sqrt(variance + eps).
void layer_norm_backward(const float* x, const float* weight, const float* d_out, std::size_t n,
                         float eps, float* dx);

}  // namespace lathe::infer
