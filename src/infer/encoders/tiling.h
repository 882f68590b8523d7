// How large the canvas of a picture is, and into how many tiles it is cut. Pure arithmetic, in
// float where the program that models are compared by computes in float, so that borders fall where
// they fall there.
#pragma once

#include <span>
#include <vector>

#include "infer/encoders/pixels.h"

namespace lathe::infer {

// Both sides to the nearest multiple of `unit`, at least one; then, where the area is above or
// below what is allowed, both by one factor, down or up to multiples. A picture longer than the
// allowed area is units stays above it.
struct AreaLimits {
  int unit = 0;
  std::int64_t least = 0, most = 0;  // pixels
};
PictureSize fitted_area(PictureSize picture, const AreaLimits& limits);

// The longer side becomes `longest`, then each goes up to a multiple of `unit`.
PictureSize fitted_side(PictureSize picture, int longest, int unit);

// Of the sizes, in their order, the first on which the picture keeps most pixels of its own, and of
// those equal the one with the least border.
PictureSize best_canvas(PictureSize picture, std::span<const PictureSize> sizes);

// Grids of `least` to `most` square tiles as sizes: by the larger of their sides (those up to
// `least` together), then by columns, then by rows.
std::vector<PictureSize> tile_grids(int tile, int least, int most);

// The grid whose shape is nearest to the picture's; of those as near the later one, if the picture
// has more than half its pixels. `sizes` in order of their areas.
PictureSize nearest_shape(PictureSize picture, std::span<const PictureSize> sizes);

}  // namespace lathe::infer
