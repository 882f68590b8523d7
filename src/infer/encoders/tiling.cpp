// Sizes of canvases.
#include "infer/encoders/tiling.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::infer {
namespace {

float real(std::int64_t value) {
  return static_cast<float>(value);
}

int nearest_unit(int side, int unit) {
  return std::max(unit, static_cast<int>(std::floor(real(side) / real(unit) + 0.5f)) * unit);
}
int units_below(float side, int unit) {
  return std::max(unit, static_cast<int>(std::floor(side / real(unit))) * unit);
}
int units_above(float side, int unit) {
  return static_cast<int>(std::ceil(side / real(unit))) * unit;
}

}  // namespace

PictureSize fitted_area(PictureSize picture, const AreaLimits& limits) {
  const int unit = limits.unit;
  const PictureSize near{nearest_unit(picture.width, unit), nearest_unit(picture.height, unit)};
  const float width = real(picture.width), height = real(picture.height);
  if (near.area() > limits.most) {
    const float by = std::sqrt(real(picture.area()) / real(limits.most));
    return {units_below(width / by, unit), units_below(height / by, unit)};
  }
  if (near.area() < limits.least) {
    const float by = std::sqrt(real(limits.least) / real(picture.area()));
    return {units_above(width * by, unit), units_above(height * by, unit)};
  }
  return near;
}

PictureSize fitted_side(PictureSize picture, int longest, int unit) {
  const float width = real(picture.width), height = real(picture.height);
  const float scale = std::min(real(longest) / width, real(longest) / height);
  return {units_above(width * scale, unit), units_above(height * scale, unit)};
}

PictureSize best_canvas(PictureSize picture, std::span<const PictureSize> sizes) {
  const float width = real(picture.width), height = real(picture.height);
  PictureSize best;
  std::int64_t most = 0, least_border = std::numeric_limits<std::int64_t>::max();
  for (const PictureSize& size : sizes) {
    const float scale = std::min(real(size.width) / width, real(size.height) / height);
    const PictureSize inner{static_cast<int>(width * scale), static_cast<int>(height * scale)};
    const std::int64_t kept = std::min(inner.area(), picture.area());
    const std::int64_t border = size.area() - kept;
    if (kept < most || (kept == most && border >= least_border)) continue;
    most = kept;
    least_border = border;
    best = size;
  }
  return best;
}

std::vector<PictureSize> tile_grids(int tile, int least, int most) {
  std::vector<PictureSize> sizes;
  for (int larger = least; larger <= most; ++larger)
    for (int columns = 1; columns <= larger; ++columns)
      for (int rows = 1; rows <= larger; ++rows) {
        const bool seen = larger > least && std::max(columns, rows) < larger;
        if (seen || columns * rows < least || columns * rows > most) continue;
        sizes.push_back({columns * tile, rows * tile});
      }
  return sizes;
}

PictureSize nearest_shape(PictureSize picture, std::span<const PictureSize> sizes) {
  const double shape = static_cast<double>(picture.width) / picture.height;
  PictureSize best;
  double least = std::numeric_limits<double>::infinity();
  for (const PictureSize& size : sizes) {
    const double distance = std::abs(shape - static_cast<double>(size.width) / size.height);
    if (distance > least || (distance == least && 2 * picture.area() <= size.area())) continue;
    least = distance;
    best = size;
  }
  return best;
}

}  // namespace lathe::infer
