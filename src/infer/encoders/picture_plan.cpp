// Plans of one input, and of tiles with an overview.
#include "infer/encoders/picture_plan.h"

#include <algorithm>

namespace lathe::infer {

PicturePlan single_input(const Canvas& canvas, PicturePlan::Words before,
                         PicturePlan::Words after) {
  return {.canvases = {canvas}, .before = {std::move(before)}, .after = std::move(after)};
}

Result<Canvas> fitted_canvas(PictureSize picture, const AreaLimits& limits) {
  const PictureSize size = fitted_area(picture, limits);
  if (size.area() > limits.most)
    return invalid(
        "a picture of {}×{} pixels is too long and thin for this encoder: at its scale it would "
        "have {}×{}, and at most {} pixels are possible; cut it into parts",
        picture.width, picture.height, size.width, size.height, limits.most);
  return Canvas{.size = size, .tile = size};
}

PicturePlan tiles_and_overview(PictureSize picture, int tile, std::span<const PictureSize> sizes) {
  const Canvas overview{.size = {tile, tile}, .tile = {tile, tile}, .letterbox = false};
  if (picture.width <= tile && picture.height <= tile) return single_input(overview, {}, {});
  const Canvas tiled{.size = best_canvas(picture, sizes),
                     .tile = {tile, tile},
                     .resampling = Resampling::kBicubic};
  return {.canvases = {tiled, overview},
          .before = std::vector<PicturePlan::Words>(tiled.tiles() + 1),
          .after = {}};
}

std::int64_t most_area(std::span<const PictureSize> sizes) {
  std::int64_t most = 0;
  for (const PictureSize& size : sizes) most = std::max(most, size.area());
  return most;
}

}  // namespace lathe::infer
