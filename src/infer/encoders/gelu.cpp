// Φ from a table, by cubic Hermite interpolation: its slope is known as well.
#include "infer/encoders/gelu.h"

#include <array>
#include <cmath>
#include <numbers>

namespace lathe::infer {
namespace {

constexpr int kEdge = 6;    // beyond it Φ is 0 or 1
constexpr int kSteps = 64;  // of the table, in 1

struct Node {
  float value, slope;  // of Φ; the slope over a step
};

std::array<Node, 2 * kEdge * kSteps + 1> normal_distribution() {
  std::array<Node, 2 * kEdge * kSteps + 1> nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const double x = static_cast<double>(i) / kSteps - kEdge;
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    nodes[i] = {static_cast<float>(0.5 * std::erfc(-x / std::numbers::sqrt2)),
                static_cast<float>(density / kSteps)};
  }
  return nodes;
}

}  // namespace

void gelu_exact(float* x, std::size_t n) {
  static const auto kNodes = normal_distribution();
  for (std::size_t i = 0; i < n; ++i) {
    if (!(std::abs(x[i]) < kEdge)) {
      if (x[i] < 0) x[i] = 0;
      continue;  // itself; what is no number stays none
    }
    const float at = (x[i] + kEdge) * kSteps;
    const auto node = static_cast<std::size_t>(at);
    const Node &left = kNodes[node], &right = kNodes[node + 1];
    const float t = at - static_cast<float>(node), s = 1 - t;
    const float ends = left.value + (right.value - left.value) * t * t * (3 - 2 * t);
    x[i] *= ends + s * t * (s * left.slope - t * right.slope);
  }
}

}  // namespace lathe::infer
