// Paths of least cost, medians, and where words begin.
#include "infer/whisper/align.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ground/base/result.h"
#include "ground/base/text.h"

namespace lathe::infer {

std::vector<std::size_t> warp(std::span<const double> cost, std::size_t rows, std::size_t columns) {
  LATHE_CHECK(rows > 0 && columns > 0 && cost.size() == rows * columns);
  enum Step : std::uint8_t { kBoth, kDown, kRight };
  constexpr double kNone = std::numeric_limits<double>::infinity();
  std::vector<double> sums(columns + 1, kNone), above(columns + 1, kNone);
  std::vector<Step> steps(cost.size());
  above[0] = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    sums[0] = kNone;
    for (std::size_t c = 0; c < columns; ++c) {
      const double both = above[c], down = above[c + 1], right = sums[c];
      Step& step = steps[r * columns + c];
      step = both < down && both < right ? kBoth : down < both && down < right ? kDown : kRight;
      sums[c + 1] = cost[r * columns + c] + (step == kBoth ? both : step == kDown ? down : right);
    }
    std::swap(sums, above);
  }
  // Back from the end.
  std::vector<std::size_t> entered(rows);
  std::size_t r = rows - 1, c = columns - 1;
  for (;;) {
    entered[r] = c;
    if (r == 0 && c == 0) return entered;
    const Step step = r == 0 ? kRight : c == 0 ? kDown : steps[r * columns + c];
    if (step != kRight) --r;
    if (step != kDown) --c;
  }
}

void median_filter(std::span<float> values, std::size_t width) {
  LATHE_CHECK(width % 2 == 1);
  const auto half = static_cast<std::ptrdiff_t>(width / 2);
  const auto size = static_cast<std::ptrdiff_t>(values.size());
  if (size <= half) return;
  const std::vector<float> before(values.begin(), values.end());
  std::vector<float> near(width);
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    for (std::ptrdiff_t d = -half; d <= half; ++d) {
      std::ptrdiff_t at = std::abs(i + d);
      if (at >= size) at = 2 * (size - 1) - at;
      near[static_cast<std::size_t>(d + half)] = before[static_cast<std::size_t>(at)];
    }
    std::ranges::nth_element(near, near.begin() + half);
    values[static_cast<std::size_t>(i)] = near[static_cast<std::size_t>(half)];
  }
}

void standardize_columns(std::span<float> weights, std::size_t rows, std::size_t columns) {
  for (std::size_t c = 0; c < columns; ++c) {
    double mean = 0, square = 0;
    for (std::size_t r = 0; r < rows; ++r) mean += weights[r * columns + c];
    mean /= static_cast<double>(rows);
    for (std::size_t r = 0; r < rows; ++r)
      square += std::pow(static_cast<double>(weights[r * columns + c]) - mean, 2);
    const double deviation = std::sqrt(square / static_cast<double>(rows));
    for (std::size_t r = 0; r < rows; ++r) {
      float& weight = weights[r * columns + c];
      weight = deviation > 0 ? static_cast<float>((weight - mean) / deviation) : 0.0F;
    }
  }
}

std::vector<std::size_t> word_lengths(std::span<const std::string_view> tokens, bool blanks) {
  std::vector<std::size_t> lengths;
  std::string word;
  for (const std::string_view token : tokens) {
    const bool whole = find_invalid_utf8(word) == std::string_view::npos;
    const bool begins = blanks ? token.starts_with(' ') : whole;
    if (lengths.empty() || begins) {
      lengths.push_back(0);
      word.clear();
    }
    ++lengths.back();
    word += token;
  }
  return lengths;
}

}  // namespace lathe::infer
