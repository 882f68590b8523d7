// A picture as pixels: 8-bit RGB, top row first, what was transparent laid over white. And boxes in
// it. Pure functions; the same input gives the same bits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe {

struct Box {
  int x = 0, y = 0, w = 0, h = 0;
  int right() const { return x + w; }
  int bottom() const { return y + h; }
  std::int64_t area() const { return std::int64_t{w} * h; }
  bool empty() const { return w <= 0 || h <= 0; }
  friend bool operator==(const Box&, const Box&) = default;
};
Box united(const Box& a, const Box& b);  // an empty box adds nothing
Box common(const Box& a, const Box& b);  // empty where they do not meet
Box grown(const Box& box, int by);

inline constexpr std::int64_t kMaxPicturePixels = 24'000'000;

struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // (height, width, 3)
  const std::uint8_t* at(int x, int y) const {
    return rgb.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                             static_cast<std::size_t>(x));
  }
  std::uint8_t* at(int x, int y) {
    return const_cast<std::uint8_t*>(static_cast<const Picture&>(*this).at(x, y));
  }
  Box box() const { return {0, 0, width, height}; }
};
Picture blank_picture(int width, int height);

// The mean of the pixels that fall on each new one; enlarging interpolates. At least 1×1.
Picture scaled(const Picture& picture, int width, int height);
// What the box holds; the box must lie within.
Picture cut_out(const Picture& picture, const Box& box);
// No side longer than `side`; unchanged where none is.
Picture fitted(const Picture& picture, int side);

inline constexpr std::string_view kPngMediaType = "image/png";
inline constexpr std::string_view kSvgMediaType = "image/svg+xml";
std::string png_bytes(const Picture& picture);

// A mask, a PNG: transparent and white within the boxes, opaque and black beyond them, so that who
// looks at transparency and who looks at brightness see the same.
std::string mask_png(int width, int height, std::span<const Box> open);

}  // namespace lathe
