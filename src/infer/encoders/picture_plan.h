// How a picture of some size goes into an encoder, and what stands around it in a prompt. Pure.
#pragma once

#include "infer/encoders/encoded_piece.h"
#include "infer/encoders/tiling.h"

namespace lathe::infer {

struct PicturePlan {
  // One after the other; their tiles are the inputs.
  std::vector<Canvas> canvases;
  // The words in front of each input, and behind the last.
  using Words = PromptWords;
  std::vector<Words> before;
  Words after;

  std::size_t inputs() const { return before.size(); }
};

// One canvas that is one input.
PicturePlan single_input(const Canvas& canvas, PicturePlan::Words before, PicturePlan::Words after);

// A canvas as large as fitted_area() says, which is one input; an error where the picture is so
// long and thin that it would be larger than the limits allow.
Result<Canvas> fitted_canvas(PictureSize picture, const AreaLimits& limits);

// Square tiles on the canvas of `sizes` that fits best, then the whole picture in one tile; only
// that where the picture is not larger than a tile. No words yet.
PicturePlan tiles_and_overview(PictureSize picture, int tile, std::span<const PictureSize> sizes);

std::int64_t most_area(std::span<const PictureSize> sizes);

}  // namespace lathe::infer
