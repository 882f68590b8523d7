// Products of float matrices, for training. Both operands may lie as they are or transposed; what
// the kernel wants side by side is only a row of B (transpose_panel() makes that of a matrix that
// lies the other way). Results do not depend on the size of the team, nor on how k is cut.
#pragma once

#include <cstddef>
#include <span>

#include "infer/kernels/kernels.h"
#include "infer/tensor/thread_team.h"

namespace lathe::infer {

// C (rows, columns) (+)= A (rows, k) · B (k, columns).
struct Gemm {
  std::size_t rows = 0, columns = 0, k = 0;
  const float* a = nullptr;  // A[r, i] = a[r·a_row + i·a_k]
  std::size_t a_row = 0, a_k = 1;
  const float* b = nullptr;  // B[i, c] = b[c / 32 · b_panel + i·b_k + c % 32]
  std::size_t b_k = 0, b_panel = kTileColumns;
  float* c = nullptr;
  std::size_t c_row = 0;
  bool add = false;  // to what C holds
};
// All of them in one go; none may read what another writes.
void multiply(ThreadTeam& team, const TrainKernels& kernels, std::span<const Gemm> products);
// On the calling thread.
void multiply(const TrainKernels& kernels, const Gemm& product);

}  // namespace lathe::infer
