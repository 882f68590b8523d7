// Angles of rotary positions, with the scalings that models use.
#include "infer/models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lathe::infer {

std::vector<double> rope_frequencies(const RopeSpec& rope, std::span<const float> factors) {
  const auto n = static_cast<double>(rope.dimensions);
  std::vector<double> frequencies(rope.dimensions / 2);
  const auto boundary = [&](double beta) {
    return n * std::log(rope.original_context / (2 * std::numbers::pi * beta)) /
           (2 * std::log(rope.base));
  };
  const double low = std::max(0.0, std::floor(boundary(rope.beta_fast)));
  const double high = std::min(n - 1, std::ceil(boundary(rope.beta_slow)));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    double theta = std::pow(rope.base, -2 * static_cast<double>(i) / n);
    if (!factors.empty()) theta /= static_cast<double>(factors[i]);
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    const double mix = rope.extrapolation * (1 - ramp);
    frequencies[i] = rope.scale * theta * (1 - mix) + theta * mix;
  }
  return frequencies;
}

Ropes ropes_of(const Blueprint& blueprint) {
  Ropes ropes;
  for (const LayerSpec& layer : blueprint.layers) {
    ropes.of_layer.push_back(0);
    const RopeSpec* rope = layer.rope();
    if (rope == nullptr) continue;
    const auto known = std::ranges::find(ropes.all, *rope);
    ropes.of_layer.back() = static_cast<std::size_t>(known - ropes.all.begin());
    if (known == ropes.all.end()) ropes.all.push_back(*rope);
    ropes.stride = std::max(ropes.stride, rope->dimensions);
  }
  return ropes;
}

namespace {

// The number that a pair turns by.
std::size_t number_of(const RopeSpec& rope, std::size_t pair, const RopePosition& position) {
  const auto& [t, y, x] = rope.sections;
  if (!rope.interleaved) return pair < t ? position.t : pair < t + y ? position.y : position.x;
  if (pair % 3 == 1 && pair < 3 * y) return position.y;
  if (pair % 3 == 2 && pair < 3 * x) return position.x;
  return position.t;
}

}  // namespace

void rope_row(const RopeSpec& rope, std::span<const double> frequencies,
              const RopePosition& position, float* row) {
  const std::size_t half = rope.dimensions / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const double angle = static_cast<double>(number_of(rope, i, position)) * frequencies[i];
    row[i] = static_cast<float>(std::cos(angle) * rope.magnitude);
    row[half + i] = static_cast<float>(std::sin(angle) * rope.magnitude);
  }
}

}  // namespace lathe::infer
