// Rotary positions: the angles of a RopeSpec.
#pragma once

#include <span>
#include <vector>

#include "infer/models/blueprint.h"

namespace lathe::infer {

// θ_i / position for i in [0, dimensions/2): base^(-2i/n), YaRN's mixture of interpolated and
// original, Llama 3's factors (empty: none).
std::vector<double> rope_frequencies(const RopeSpec& rope, std::span<const float> factors);

// The ropes of a model: those that differ, and which one a layer has.
struct Ropes {
  std::vector<RopeSpec> all;
  std::vector<std::size_t> of_layer;  // 0 for a layer without one
  std::size_t stride = 0;             // of a row of angles: the most dimensions
};
Ropes ropes_of(const Blueprint& blueprint);

// Where a token stands, for each section of a rope: of a text it is the same number; a picture's
// rows have one t, and y and x of their grid (RowShape).
struct RopePosition {
  std::size_t t = 0, y = 0, x = 0;
  static RopePosition of_text(std::size_t position) { return {position, position, position}; }
  bool operator==(const RopePosition&) const = default;
};

// The row of one position: cosines in [0, dimensions/2), sines behind them, both times the
// magnitude.
void rope_row(const RopeSpec& rope, std::span<const double> frequencies,
              const RopePosition& position, float* row);

}  // namespace lathe::infer
