// Tiles of float products, for any instruction set that gives the vectors of avx512.inl and says
// how large a tile its registers hold (kRegisterRows × kRegisterVectors): the accumulators stay in
// registers along k, each step loads a row of B and multiplies it with one number of each row of A.
#include <utility>

#include "infer/kernels/train_kernels.h"

namespace lathe::infer {
namespace {

// kLast: lanes of the last vector are masked.
template <int kRows, int kVectors, bool kMasked>
void tile_in_registers(const TileArgs& args, std::size_t row, std::size_t column) {
  [[maybe_unused]] const std::size_t lanes = args.columns - column;  // kMasked: below 16
  const auto load = [&](const float* p) {
    if constexpr (kMasked) return vf_load_n(p, lanes);
    return vf_load(p);
  };
  VF acc[kRows][kVectors];
  float* c = args.c + row * args.c_row + column;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] =
          args.add ? load(c + static_cast<std::size_t>(r) * args.c_row + 16 * v) : vf_zero();
  const std::size_t step = args.a_row;
  // Pointers to every third row: the two between are within reach of one index.
  const float* a[(kRows + 2) / 3];
#pragma GCC unroll 16
  for (int g = 0; g < (kRows + 2) / 3; ++g)
    a[g] = args.a + (row + 3 * static_cast<std::size_t>(g)) * step;
  const float* b = args.b + column;
  for (std::size_t i = 0; i < args.k; ++i, b += args.b_k) {
    VF bv[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) bv[v] = load(b + 16 * v);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const VF x = vf_set1(a[r / 3][static_cast<std::size_t>(r % 3) * step]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[r][v] = vf_fma(x, bv[v], acc[r][v]);
    }
#pragma GCC unroll 16
    for (int g = 0; g < (kRows + 2) / 3; ++g) a[g] += args.a_k;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + static_cast<std::size_t>(r) * args.c_row + 16 * v;
      if constexpr (kMasked)
        vf_store_n(out, acc[r][v], lanes);
      else
        vf_store(out, acc[r][v]);
    }
}

using PartOfTile = void (*)(const TileArgs&, std::size_t row, std::size_t column);
template <int kVectors, bool kMasked, int... kI>
constexpr auto parts_of_tile(std::integer_sequence<int, kI...>) {
  struct {
    PartOfTile of_rows[sizeof...(kI)];
  } parts = {{tile_in_registers<kI + 1, kVectors, kMasked>...}};
  return parts;
}
using TileSizes = std::make_integer_sequence<int, kRegisterRows>;

[[maybe_unused]] void tile(const TileArgs& args) {
  static constexpr auto kFull = parts_of_tile<kRegisterVectors, false>(TileSizes());
  static constexpr auto kNarrow = parts_of_tile<1, false>(TileSizes());
  static constexpr auto kMasked = parts_of_tile<1, true>(TileSizes());
  for (std::size_t row = 0; row < args.rows;) {
    const std::size_t left = args.rows - row;
    const std::size_t rows = left < kRegisterRows ? left : kRegisterRows;
    for (std::size_t column = 0; column < args.columns;) {
      const std::size_t columns = args.columns - column;
      if (columns >= 16 * kRegisterVectors) {
        kFull.of_rows[rows - 1](args, row, column);
        column += 16 * kRegisterVectors;
      } else if (columns >= 16) {
        kNarrow.of_rows[rows - 1](args, row, column);
        column += 16;
      } else {
        kMasked.of_rows[rows - 1](args, row, column);
        column += columns;
      }
    }
    row += rows;
  }
}

}  // namespace
}  // namespace lathe::infer
