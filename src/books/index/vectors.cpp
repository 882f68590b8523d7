// Vectors in bytes, and the fusion of rankings.
#include "books/index/vectors.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace lathe::books {

Result<ByteVector> to_bytes(std::span<const float> vector) {
  double largest = 0, squares = 0;
  for (const float x : vector) {
    if (!std::isfinite(x)) return invalid("a number of the embedding is not finite");
    largest = std::max(largest, std::abs(static_cast<double>(x)));
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  if (largest == 0) return invalid("the embedding has no direction: {} zeros", vector.size());
  ByteVector bytes;
  bytes.scale = largest / 127 / std::sqrt(squares);
  bytes.values.reserve(vector.size());
  for (const float x : vector)
    bytes.values.push_back(
        static_cast<std::int8_t>(std::lround(127 * static_cast<double>(x) / largest)));
  return bytes;
}

double similarity(const ByteVector& a, const ByteVector& b) {
  std::int32_t sum = 0;  // 127² · 65536 numbers fit, and a width is at most that
  for (std::size_t i = 0; i < std::min(a.values.size(), b.values.size()); ++i)
    sum += std::int32_t{a.values[i]} * b.values[i];
  return sum * a.scale * b.scale;
}

std::vector<std::pair<std::size_t, double>> fused(
    std::span<const std::vector<std::size_t>> rankings) {
  std::map<std::size_t, double> scores;
  for (const auto& ranking : rankings)
    for (std::size_t i = 0; i < ranking.size(); ++i)
      scores[ranking[i]] += 1 / (kFusion + 1 + static_cast<double>(i));
  std::vector<std::pair<std::size_t, double>> all(scores.begin(), scores.end());
  std::ranges::stable_sort(all, [](const auto& a, const auto& b) { return a.second > b.second; });
  return all;
}

}  // namespace lathe::books
