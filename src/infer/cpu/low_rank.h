// What an adapter adds to a product of a linear layer. One thread, but for what the team is given.
#pragma once

#include <span>

#include "infer/models/adapter.h"
#include "infer/tensor/gemm.h"

namespace lathe::infer {

// y (tokens, rows) += s·B·(A·x), with one expert's A and B.
struct LowRankProduct {
  std::size_t expert = 0, tokens = 0;
  const float* x = nullptr;
  float* y = nullptr;
};
// All of them in one go; low: scratch (tokens of all, rank). The same bits whatever the tokens'
// neighbours and the team.
void add_low_rank(ThreadTeam& team, const KernelTable& kernels, const LowRank& part,
                  std::span<const LowRankProduct> products, std::size_t x_stride, float* low);

}  // namespace lathe::infer
