// Products of f32 matrices for training, in blocks that fit a cache.
#include "infer/tensor/gemm.h"

#include <algorithm>
#include <vector>

namespace lathe::infer {
namespace {

// A block of C is computed by one thread. With pieces of kDepth along k, what it reads of A and B
// (96 × 256 and 256 × 256 floats) stays in the second-level cache.
constexpr std::size_t kDepth = 256;
constexpr std::size_t kBlockRows = 8 * kTileRows, kBlockColumns = 8 * kTileColumns;
constexpr std::size_t kItemsPerThread = 6;  // below that, blocks are made smaller

std::size_t blocks(std::size_t size, std::size_t block) {
  return (size + block - 1) / block;
}

void multiply_block(const TrainKernels& kernels, const Gemm& p, std::size_t row,
                    std::size_t row_end, std::size_t column, std::size_t column_end) {
  for (std::size_t i = 0; i < p.k; i += kDepth) {
    const std::size_t depth = std::min(kDepth, p.k - i);
    for (std::size_t c = column; c < column_end; c += kTileColumns) {
      const float* b = p.b + c / kTileColumns * p.b_panel + i * p.b_k;
      for (std::size_t r = row; r < row_end; r += kTileRows) {
        kernels.tile({.rows = std::min(kTileRows, row_end - r),
                      .columns = std::min(kTileColumns, column_end - c),
                      .k = depth,
                      .a = p.a + r * p.a_row + i * p.a_k,
                      .a_row = p.a_row,
                      .a_k = p.a_k,
                      .b = b,
                      .b_k = p.b_k,
                      .c = p.c + r * p.c_row + c,
                      .c_row = p.c_row,
                      .add = p.add || i != 0});
      }
    }
  }
}

}  // namespace

void multiply(ThreadTeam& team, const TrainKernels& kernels, std::span<const Gemm> products) {
  const auto items_of = [](const Gemm& p, std::size_t rows, std::size_t columns) {
    return blocks(p.rows, rows) * blocks(p.columns, columns);
  };
  const auto total = [&](std::size_t rows, std::size_t columns) {
    std::size_t items = 0;
    for (const Gemm& p : products) items += items_of(p, rows, columns);
    return items;
  };
  const std::size_t wanted = kItemsPerThread * static_cast<std::size_t>(team.size());
  std::size_t rows = kBlockRows, columns = kBlockColumns;
  while (total(rows, columns) < wanted && columns > kTileColumns) columns /= 2;
  while (total(rows, columns) < wanted && rows > kTileRows) rows /= 2;
  std::vector<std::size_t> first(products.size() + 1);
  for (std::size_t i = 0; i < products.size(); ++i)
    first[i + 1] = first[i] + items_of(products[i], rows, columns);
  team.run(first.back(), [&](std::size_t item, int) {
    const auto next = std::ranges::upper_bound(first, item);
    const std::size_t which = static_cast<std::size_t>(next - first.begin()) - 1;
    const Gemm& p = products[which];
    const std::size_t across = blocks(p.columns, columns), at = item - first[which];
    const std::size_t row = at / across * rows, column = at % across * columns;
    multiply_block(kernels, p, row, std::min(p.rows, row + rows), column,
                   std::min(p.columns, column + columns));
  });
}

void multiply(const TrainKernels& kernels, const Gemm& product) {
  multiply_block(kernels, product, 0, product.rows, 0, product.columns);
}

}  // namespace lathe::infer
