// Resizing as encoders are compared by it, letterboxes, tiles, numbers.
#include "infer/encoders/pixels.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {
namespace {

std::size_t index(int value) {
  return static_cast<std::size_t>(value);
}

// Where each new column (or row) of a bilinear resize lies between two old ones.
struct Between {
  std::vector<int> low, high;
  std::vector<float> part;  // of the way from low to high
};

Between between_corners(int from, int to) {
  const float step = to > 1 ? static_cast<float>(from - 1) / static_cast<float>(to - 1) : 0.0f;
  Between out;
  for (int i = 0; i < to; ++i) {
    const float at = static_cast<float>(i) * step;
    const int low = std::min(static_cast<int>(at), from - 1);
    out.low.push_back(low);
    out.high.push_back(std::min(low + 1, from - 1));
    out.part.push_back(at - static_cast<float>(low));
  }
  return out;
}

Picture bilinear(const Picture& from, PictureSize size) {
  const Between across = between_corners(from.width, size.width);
  const Between down = between_corners(from.height, size.height);
  Picture out = blank_picture(size.width, size.height);
  for (int y = 0; y < size.height; ++y) {
    const int y0 = down.low[index(y)], y1 = down.high[index(y)];
    for (int x = 0; x < size.width; ++x) {
      const int x0 = across.low[index(x)], x1 = across.high[index(x)];
      for (int c = 0; c < 3; ++c) {
        const float a = from.at(x0, y0)[c], b = from.at(x1, y0)[c];
        const float d = from.at(x0, y1)[c], e = from.at(x1, y1)[c];
        const float top = a + (b - a) * across.part[index(x)];
        const float bottom = d + (e - d) * across.part[index(x)];
        out.at(x, y)[c] = static_cast<std::uint8_t>(top + (bottom - top) * down.part[index(y)]);
      }
    }
  }
  return out;
}

// The cubic through four neighbours (at −1, 0, 1, 2), at t in [0, 1). The coefficients are double,
// kept as float.
float cubic(float before, float here, float next, float after, float t) {
  const float d0 = before - here, d2 = next - here, d3 = after - here;
  const auto a1 = static_cast<float>(-1.0 / 3 * d0 + d2 - 1.0 / 6 * d3);
  const auto a2 = static_cast<float>(1.0 / 2 * d0 + 1.0 / 2 * d2);
  const auto a3 = static_cast<float>(-1.0 / 6 * d0 - 1.0 / 2 * d2 + 1.0 / 6 * d3);
  return here + a1 * t + a2 * t * t + a3 * t * t * t;
}

Picture bicubic(const Picture& from, PictureSize size) {
  const float across = static_cast<float>(from.width) / static_cast<float>(size.width);
  const float down = static_cast<float>(from.height) / static_cast<float>(size.height);
  Picture out = blank_picture(size.width, size.height);
  for (int y = 0; y < size.height; ++y) {
    const float fy = down * static_cast<float>(y);
    const int y0 = static_cast<int>(fy);
    for (int x = 0; x < size.width; ++x) {
      const float fx = across * static_cast<float>(x);
      const int x0 = static_cast<int>(fx);
      for (int c = 0; c < 3; ++c) {
        float rows[4];
        for (int j = 0; j < 4; ++j) {
          const int row = std::clamp(y0 - 1 + j, 0, from.height - 1);
          const auto pixel = [&](int at) -> float {
            return from.at(std::clamp(at, 0, from.width - 1), row)[c];
          };
          rows[j] = cubic(pixel(x0 - 1), pixel(x0), pixel(x0 + 1), pixel(x0 + 2),
                          fx - static_cast<float>(x0));
        }
        const float value = cubic(rows[0], rows[1], rows[2], rows[3], fy - static_cast<float>(y0));
        out.at(x, y)[c] = static_cast<std::uint8_t>(std::clamp(std::round(value), 0.0f, 255.0f));
      }
    }
  }
  return out;
}

}  // namespace

Picture resized(const Picture& picture, PictureSize size, Resampling resampling) {
  return resampling == Resampling::kBilinear ? bilinear(picture, size) : bicubic(picture, size);
}

Picture laid_on(const Canvas& canvas, const Picture& picture) {
  const PictureSize size = canvas.size;
  if (PictureSize{picture.width, picture.height} == size) return picture;
  if (!canvas.letterbox) return resized(picture, size, canvas.resampling);
  const auto width = static_cast<float>(picture.width), height = static_cast<float>(picture.height);
  const float scale =
      std::min(static_cast<float>(size.width) / width, static_cast<float>(size.height) / height);
  const PictureSize inner{std::min(static_cast<int>(std::ceil(width * scale)), size.width),
                          std::min(static_cast<int>(std::ceil(height * scale)), size.height)};
  const Picture small = resized(picture, inner, canvas.resampling);
  Picture out = blank_picture(size.width, size.height);
  for (std::size_t i = 0; i < out.rgb.size(); ++i) out.rgb[i] = canvas.border[i % 3];
  const int left = (size.width - inner.width) / 2, top = (size.height - inner.height) / 2;
  for (int y = 0; y < inner.height; ++y)
    std::copy_n(small.at(0, y), 3 * index(inner.width), out.at(left, top + y));
  return out;
}

Picture tile_of(const Canvas& canvas, const Picture& laid, std::size_t i) {
  const int row = static_cast<int>(i) / canvas.columns(),
            column = static_cast<int>(i) % canvas.columns();
  return cut_out(laid, {column * canvas.tile.width, row * canvas.tile.height, canvas.tile.width,
                        canvas.tile.height});
}

PixelPlanes scaled_pixels(const Picture& picture, const PixelScale& scale) {
  const std::size_t plane = index(picture.width) * index(picture.height);
  PixelPlanes out{.size = {picture.width, picture.height}, .values = std::vector<float>(3 * plane)};
  for (std::size_t c = 0; c < 3; ++c) {
    std::array<float, 256> of{};
    for (std::size_t u = 0; u < of.size(); ++u)
      of[u] = (static_cast<float>(u) / 255.0f - scale.mean[c]) / scale.deviation[c];
    for (std::size_t i = 0; i < plane; ++i) out.values[c * plane + i] = of[picture.rgb[3 * i + c]];
  }
  return out;
}

}  // namespace lathe::infer
