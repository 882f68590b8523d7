// Pictures as pixels.
#include "ground/media/picture.h"

#include <cairo.h>
#include <leptonica/allheaders.h>

#include <cmath>

namespace lathe {

Box united(const Box& a, const Box& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  const int x = std::min(a.x, b.x), y = std::min(a.y, b.y);
  return {x, y, std::max(a.right(), b.right()) - x, std::max(a.bottom(), b.bottom()) - y};
}

Box common(const Box& a, const Box& b) {
  const int x = std::max(a.x, b.x), y = std::max(a.y, b.y);
  const Box box{x, y, std::min(a.right(), b.right()) - x, std::min(a.bottom(), b.bottom()) - y};
  return box.empty() ? Box{} : box;
}

Box grown(const Box& box, int by) {
  return {box.x - by, box.y - by, box.w + 2 * by, box.h + 2 * by};
}

Picture blank_picture(int width, int height) {
  Picture picture{width, height, {}};
  picture.rgb.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, 255);
  return picture;
}

namespace {

// Which source samples a target sample is made of, and how much of each; weights add up to 1.
struct Taps {
  int first = 0;
  std::vector<float> weights;
};

std::vector<Taps> taps(int from, int to) {
  std::vector<Taps> all(static_cast<std::size_t>(to));
  const double step = static_cast<double>(from) / to;
  for (int i = 0; i < to; ++i) {
    Taps& tap = all[static_cast<std::size_t>(i)];
    if (step > 1) {
      const double begin = i * step, end = begin + step;
      tap.first = static_cast<int>(begin);
      for (int s = tap.first; s < from && s < end; ++s) {
        const double share = std::min<double>(s + 1, end) - std::max<double>(s, begin);
        if (share > 1e-9) tap.weights.push_back(static_cast<float>(share / step));
      }
    } else {
      const double centre = std::clamp((i + 0.5) * step - 0.5, 0.0, from - 1.0);
      tap.first = std::min(static_cast<int>(centre), std::max(0, from - 2));
      const auto share = static_cast<float>(centre - tap.first);
      tap.weights = {1 - share};
      if (from > 1) tap.weights.push_back(share);
    }
  }
  return all;
}

}  // namespace

Picture scaled(const Picture& picture, int width, int height) {
  width = std::max(width, 1);
  height = std::max(height, 1);
  if (width == picture.width && height == picture.height) return picture;
  const auto across = taps(picture.width, width), down = taps(picture.height, height);
  Picture out = blank_picture(width, height);
  std::vector<float> row(static_cast<std::size_t>(picture.width) * 3);
  for (int y = 0; y < height; ++y) {
    std::ranges::fill(row, 0.0F);
    const Taps& rows = down[static_cast<std::size_t>(y)];
    for (std::size_t k = 0; k < rows.weights.size(); ++k) {
      const std::uint8_t* source = picture.at(0, rows.first + static_cast<int>(k));
      for (std::size_t i = 0; i < row.size(); ++i)
        row[i] += rows.weights[k] * static_cast<float>(source[i]);
    }
    for (int x = 0; x < width; ++x) {
      const Taps& columns = across[static_cast<std::size_t>(x)];
      std::array<float, 3> sum{};
      for (std::size_t k = 0; k < columns.weights.size(); ++k)
        for (std::size_t c = 0; c < 3; ++c)
          sum[c] += columns.weights[k] * row[3 * (static_cast<std::size_t>(columns.first) + k) + c];
      for (std::size_t c = 0; c < 3; ++c)
        out.at(x, y)[c] = static_cast<std::uint8_t>(std::clamp(sum[c] + 0.5F, 0.0F, 255.0F));
    }
  }
  return out;
}

Picture cut_out(const Picture& picture, const Box& box) {
  LATHE_CHECK(common(box, picture.box()) == box);
  Picture part = blank_picture(box.w, box.h);
  for (int y = 0; y < box.h; ++y)
    std::copy_n(picture.at(box.x, box.y + y), 3 * static_cast<std::size_t>(box.w), part.at(0, y));
  return part;
}

Picture fitted(const Picture& picture, int side) {
  const int longest = std::max(picture.width, picture.height);
  if (longest <= side) return picture;
  const double factor = static_cast<double>(side) / longest;
  return scaled(picture, static_cast<int>(std::lround(picture.width * factor)),
                static_cast<int>(std::lround(picture.height * factor)));
}

std::string png_bytes(const Picture& picture) {
  cairo_surface_t* surface =
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, picture.width, picture.height);
  unsigned char* data = cairo_image_surface_get_data(surface);
  const int stride = cairo_image_surface_get_stride(surface);
  for (int y = 0; data && y < picture.height; ++y) {
    auto* row = reinterpret_cast<std::uint32_t*>(data + std::ptrdiff_t{y} * stride);
    for (int x = 0; x < picture.width; ++x) {
      const std::uint8_t* p = picture.at(x, y);
      row[x] = std::uint32_t{p[0]} << 16 | std::uint32_t{p[1]} << 8 | p[2];
    }
  }
  cairo_surface_mark_dirty(surface);
  std::string bytes;
  const auto write = [](void* to, const unsigned char* from, unsigned length) {
    static_cast<std::string*>(to)->append(reinterpret_cast<const char*>(from), length);
    return CAIRO_STATUS_SUCCESS;
  };
  cairo_surface_write_to_png_stream(surface, write, &bytes);
  cairo_surface_destroy(surface);
  return bytes;
}

// Cairo's colours vanish where they are transparent, so this is Leptonica's.
std::string mask_png(int width, int height, std::span<const Box> open) {
  l_uint32 white = 0, black = 0;
  composeRGBAPixel(255, 255, 255, 0, &white);
  composeRGBAPixel(0, 0, 0, 255, &black);
  PIX* mask = pixCreate(width, height, 32);
  pixSetSpp(mask, 4);
  pixSetAllArbitrary(mask, black);
  for (const Box& each : open) {
    const Box box = common(each, {0, 0, width, height});
    // Its own way to fill a box makes the box opaque.
    for (int y = box.y; y < box.bottom(); ++y)
      for (int x = box.x; x < box.right(); ++x) pixSetPixel(mask, x, y, white);
  }
  l_uint8* png = nullptr;
  std::size_t size = 0;
  std::string bytes;
  if (pixWriteMemPng(&png, &size, mask, 0) == 0)
    bytes.assign(reinterpret_cast<const char*>(png), size);
  lept_free(png);
  pixDestroy(&mask);
  return bytes;
}

}  // namespace lathe
