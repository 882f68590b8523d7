// The codebooks of the IQ1, IQ2 and IQ3 types: the groups of 8 or 4 weights that a block names by
// index. They are constants of the file format. A row is what kernels multiply: integers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lathe::infer {

template <std::size_t kRows, std::size_t kGroup>
using Grid = std::array<std::int8_t, kRows * kGroup>;

// Magnitudes 8, 25, 43.
extern const Grid<256, 8> kIq2XxsGrid;
extern const Grid<512, 8> kIq2XsGrid;
extern const Grid<1024, 8> kIq2SGrid;
extern const Grid<256, 4> kIq3XxsGrid;  // magnitudes 4, 12 … 52, 62
extern const Grid<512, 4> kIq3SGrid;    // magnitudes 1, 3 … 15
extern const Grid<2048, 8> kIq1Grid;    // -8, 0, 8: eight times the weights, whose deltas are ±1

}  // namespace lathe::infer
