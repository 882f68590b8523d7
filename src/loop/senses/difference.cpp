// Structure (SSIM) and colour of two pictures, part by part.
#include "loop/senses/difference.h"

#include <array>
#include <cmath>

namespace lathe::loop {
namespace {

constexpr int kSide = 384;     // both pictures are compared at this size: small shifts do not count
constexpr int kWindow = 8;     // of SSIM
constexpr int kShift = 3;      // pixels, at that size
constexpr double kClear = 20;  // deviation of the brightness where structure counts in full
constexpr int kPart = 32;      // pixels of a part of the heat map
constexpr double kC1 = 6.5025, kC2 = 58.5225;  // SSIM's own constants for 8 bits
constexpr double kColourFull = 96;             // mean distance of a colour channel that is all off

// How far the brightness of a window of `b` is from that of `a` moved by (dx, dy), in [0,1]: one
// less SSIM, and less where there is next to nothing to see in either.
double structure_off(const Picture& a, const Picture& b, const Box& window, int dx, int dy) {
  double sum_a = 0, sum_b = 0, aa = 0, bb = 0, ab = 0;
  const auto gray = [](const std::uint8_t* p) {
    return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
  };
  for (int y = window.y; y < window.bottom(); ++y)
    for (int x = window.x; x < window.right(); ++x) {
      const double u =
          gray(a.at(std::clamp(x + dx, 0, a.width - 1), std::clamp(y + dy, 0, a.height - 1)));
      const double v = gray(b.at(x, y));
      sum_a += u;
      sum_b += v;
      aa += u * u;
      bb += v * v;
      ab += u * v;
    }
  const auto n = static_cast<double>(window.area());
  const double mean_a = sum_a / n, mean_b = sum_b / n;
  const double var_a = aa / n - mean_a * mean_a, var_b = bb / n - mean_b * mean_b;
  const double covariance = ab / n - mean_a * mean_b;
  const double ssim = (2 * mean_a * mean_b + kC1) * (2 * covariance + kC2) /
                      ((mean_a * mean_a + mean_b * mean_b + kC1) * (var_a + var_b + kC2));
  const double seen = std::sqrt(std::max({var_a, var_b, 0.0})) / kClear;
  return std::clamp(1 - ssim, 0.0, 1.0) * std::min(1.0, seen);
}

// With the shift that fits best: nobody sees a few pixels.
double structure_off(const Picture& a, const Picture& b, const Box& window) {
  double least = 1;
  for (int dy = -kShift; dy <= kShift; dy += kShift)
    for (int dx = -kShift; dx <= kShift; dx += kShift)
      least = std::min(least, structure_off(a, b, window, dx, dy));
  return least;
}

// Mean distance of the colours, in [0,1].
double colour_off(const Picture& a, const Picture& b, const Box& window) {
  double worst = 0;
  for (int c = 0; c < 3; ++c) {
    double sum_a = 0, sum_b = 0;
    for (int y = window.y; y < window.bottom(); ++y)
      for (int x = window.x; x < window.right(); ++x) {
        sum_a += a.at(x, y)[c];
        sum_b += b.at(x, y)[c];
      }
    worst = std::max(worst, std::abs(sum_a - sum_b) / static_cast<double>(window.area()));
  }
  return std::min(1.0, worst / kColourFull);
}

}  // namespace

Difference difference_of(const Picture& picture, const Picture& reference) {
  const Picture b = fitted(reference, kSide);
  const Picture a = scaled(picture, b.width, b.height);
  Difference difference;
  difference.columns = std::max(1, (b.width + kPart - 1) / kPart);
  difference.rows = std::max(1, (b.height + kPart - 1) / kPart);
  double total = 0, weight = 0;
  for (int row = 0; row < difference.rows; ++row)
    for (int column = 0; column < difference.columns; ++column) {
      const Box part = common({column * kPart, row * kPart, kPart, kPart}, b.box());
      double off = 0, count = 0;
      for (int y = part.y; y < part.bottom(); y += kWindow)
        for (int x = part.x; x < part.right(); x += kWindow) {
          const Box window = common({x, y, kWindow, kWindow}, part);
          // Structure tells shapes from each other, colour what has none.
          const double each = std::max(structure_off(a, b, window), colour_off(a, b, window));
          off += each * static_cast<double>(window.area());
          count += static_cast<double>(window.area());
        }
      difference.parts.push_back(off / count);
      total += off;
      weight += count;
    }
  difference.similarity = 1 - total / weight;
  return difference;
}

}  // namespace lathe::loop
