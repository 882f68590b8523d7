// The part of LoRA adapters in a product.
#include "infer/cpu/low_rank.h"

namespace lathe::infer {

void add_low_rank(ThreadTeam& team, const KernelTable& kernels, const LowRank& part,
                  std::span<const LowRankProduct> products, std::size_t x_stride, float* low) {
  std::vector<Gemm> down, up;
  for (const LowRankProduct& product : products) {
    down.push_back(
        {.rows = product.tokens,
         .columns = part.rank,
         .k = part.k,
         .a = product.x,
         .a_row = x_stride,
         .b = part.a_panels.data() + product.expert * LowRank::panel_floats(part.rank, part.k),
         .b_k = kTileColumns,
         .b_panel = kTileColumns * part.k,
         .c = low,
         .c_row = part.rank});
    up.push_back(
        {.rows = product.tokens,
         .columns = part.rows,
         .k = part.rank,
         .a = low,
         .a_row = part.rank,
         .b = part.b_panels.data() + product.expert * LowRank::panel_floats(part.rows, part.rank),
         .b_k = kTileColumns,
         .b_panel = kTileColumns * part.rank,
         .c = product.y,
         .c_row = part.rows,
         .add = true});
    low += product.tokens * part.rank;
  }
  multiply(team, kernels.train, down);
  multiply(team, kernels.train, up);
}

}  // namespace lathe::infer
