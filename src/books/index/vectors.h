// Vectors of texts in a byte a number, and rankings made one. Pure; the same input gives the same
// bits.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ground/base/result.h"

namespace lathe::books {

// Of length 1 but for rounding: value · scale.
struct ByteVector {
  double scale = 0;
  std::vector<std::int8_t> values;
};

// value = round(127 · x / max |x|). Errors: no numbers, all of them 0, one that is not finite.
Result<ByteVector> to_bytes(std::span<const float> vector);

// The cosine of their angle, of vectors of one width.
double similarity(const ByteVector& a, const ByteVector& b);

inline constexpr double kFusion = 60;

// Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): Σ 1 / (60 + rank), from rank 1. Each
// ranking lists items, the best first, none twice. → item and score, the best first; of equal ones
// the smaller item.
std::vector<std::pair<std::size_t, double>> fused(
    std::span<const std::vector<std::size_t>> rankings);

}  // namespace lathe::books
