// A picture on its way into an encoder: laid on a canvas and cut into tiles as 8-bit RGB, then as
// numbers. Resizing follows the program whose embeddings models are compared by, to the bit: see
// each function. Pure; any thread may call anything.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ground/media/picture.h"

namespace lathe::infer {

struct PictureSize {
  int width = 0, height = 0;
  std::int64_t area() const { return std::int64_t{width} * height; }
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

enum class Resampling : std::uint8_t { kBilinear, kBicubic };

// A surface that the whole picture is laid on. It is cut into tiles, row by row, each of which is
// one input of the encoder.
struct Canvas {
  PictureSize size;
  PictureSize tile;  // divides the size
  Resampling resampling = Resampling::kBilinear;
  bool letterbox = true;  // keeps the picture's shape, in the middle of `border`; else stretches it
  std::array<std::uint8_t, 3> border{};

  int columns() const { return size.width / tile.width; }
  std::size_t tiles() const {
    return static_cast<std::size_t>(columns()) *
           static_cast<std::size_t>(size.height / tile.height);
  }
};

// Bilinear: the corners stay where they are, x = i·(w − 1)/(W − 1) in float, and what comes out is
// cut off to 8 bits. Bicubic: x = i·w/W in float, four neighbours each way (the border's repeated),
// the cubic through them along x, then along y, rounded half away from zero. Neither smooths before
// it makes smaller.
Picture resized(const Picture& picture, PictureSize size, Resampling resampling);

// A picture that has the canvas's size stays as it is.
Picture laid_on(const Canvas& canvas, const Picture& picture);

// The i-th tile of what was laid on the canvas.
Picture tile_of(const Canvas& canvas, const Picture& laid, std::size_t i);

// (u / 255 − mean) / deviation of each colour, in float.
struct PixelScale {
  std::array<float, 3> mean{}, deviation{1, 1, 1};
};

// What an encoder reads: (3, height, width).
struct PixelPlanes {
  PictureSize size;
  std::vector<float> values;
};
PixelPlanes scaled_pixels(const Picture& picture, const PixelScale& scale);

}  // namespace lathe::infer
