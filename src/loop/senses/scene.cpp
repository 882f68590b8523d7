// What pixels tell without reading: the background, what stands on it, contrast.
#include "loop/senses/scene.h"

#include <array>
#include <cmath>

namespace lathe::loop {
namespace {

constexpr int kSceneSide = 512;
constexpr int kTolerance = 24;       // of a colour channel
constexpr int kMostTolerance = 56;   // on grainy backgrounds
constexpr double kExplained = 0.75;  // of the border's pixels, to know the background
constexpr double kMostInk = 0.7;
constexpr double kLeastThing = 0.004;
constexpr double kPlainSpread = 14;

using Colour = std::array<double, 3>;
enum Side { kTop, kRight, kBottom, kLeft };

struct BorderPixel {
  double x, y;  // in [-1,1]
  Colour colour;
  Side side;
};

int apart(const std::uint8_t* p, const Colour& colour) {
  double most = 0;
  for (std::size_t c = 0; c < 3; ++c) most = std::max(most, std::abs(p[c] - colour[c]));
  return static_cast<int>(most);
}

double apart(const Colour& a, const Colour& b) {
  return std::max({std::abs(a[0] - b[0]), std::abs(a[1] - b[1]), std::abs(a[2] - b[2])});
}

std::vector<BorderPixel> border_of(const Picture& picture) {
  const int thick = std::max(2, std::min(picture.width, picture.height) / 60);
  std::vector<BorderPixel> border;
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      const int top = y, bottom = picture.height - 1 - y, left = x, right = picture.width - 1 - x;
      const int nearest = std::min({top, bottom, left, right});
      if (nearest >= thick) {
        x = std::max(x, picture.width - thick - 1);
        continue;
      }
      const std::uint8_t* p = picture.at(x, y);
      border.push_back(
          {2.0 * x / std::max(1, picture.width - 1) - 1,
           2.0 * y / std::max(1, picture.height - 1) - 1,
           {static_cast<double>(p[0]), static_cast<double>(p[1]), static_cast<double>(p[2])},
           nearest == top      ? kTop
           : nearest == bottom ? kBottom
           : nearest == left   ? kLeft
                               : kRight});
    }
  return border;
}

constexpr std::size_t kTerms = 6;
using Terms = std::array<double, kTerms>;

Terms terms_at(double x, double y) {
  return {1, x, y, x * y, x * x, y * y};
}

// Solves a small symmetric system; a direction that the data says nothing about stays 0.
Terms solved(std::array<Terms, kTerms> a, Terms b) {
  for (std::size_t i = 0; i < kTerms; ++i) a[i][i] += 1e-6;
  for (std::size_t i = 0; i < kTerms; ++i) {
    std::size_t pivot = i;
    for (std::size_t k = i + 1; k < kTerms; ++k)
      if (std::abs(a[k][i]) > std::abs(a[pivot][i])) pivot = k;
    std::swap(a[i], a[pivot]);
    std::swap(b[i], b[pivot]);
    for (std::size_t k = i + 1; k < kTerms; ++k) {
      const double factor = a[k][i] / a[i][i];
      for (std::size_t j = i; j < kTerms; ++j) a[k][j] -= factor * a[i][j];
      b[k] -= factor * b[i];
    }
  }
  for (std::size_t i = kTerms; i-- > 0;) {
    for (std::size_t j = i + 1; j < kTerms; ++j) b[i] -= a[i][j] * b[j];
    b[i] /= a[i][i];
  }
  return b;
}

// A colour that changes smoothly over the picture, fitted to its border.
struct Smooth {
  std::array<Terms, 3> channels{};
  double tolerance = kTolerance;
  double share = 0;  // of the border that it explains

  Colour at(double x, double y) const {
    const Terms terms = terms_at(x, y);
    Colour colour{};
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t t = 0; t < kTerms; ++t) colour[c] += channels[c][t] * terms[t];
    return colour;
  }
};

Smooth fit_smooth(const std::vector<BorderPixel>& border) {
  Smooth smooth;
  std::vector<double> weight(border.size(), 1);
  for (int round = 0; round < 8; ++round) {
    std::array<Terms, kTerms> a{};
    std::array<Terms, 3> b{};
    for (std::size_t i = 0; i < border.size(); ++i) {
      const Terms terms = terms_at(border[i].x, border[i].y);
      for (std::size_t j = 0; j < kTerms; ++j) {
        for (std::size_t k = 0; k < kTerms; ++k) a[j][k] += weight[i] * terms[j] * terms[k];
        for (std::size_t c = 0; c < 3; ++c) b[c][j] += weight[i] * terms[j] * border[i].colour[c];
      }
    }
    for (std::size_t c = 0; c < 3; ++c) smooth.channels[c] = solved(a, b[c]);
    for (std::size_t i = 0; i < border.size(); ++i) {
      const double off = apart(border[i].colour, smooth.at(border[i].x, border[i].y));
      weight[i] = 1 / (1 + (off / 10) * (off / 10) * (off / 10) * (off / 10));
    }
  }
  // Grain: how far the bulk of the border is from the fit.
  std::vector<double> offs;
  for (const BorderPixel& pixel : border)
    offs.push_back(apart(pixel.colour, smooth.at(pixel.x, pixel.y)));
  std::vector<double> sorted = offs;
  std::ranges::sort(sorted);
  const double bulk = sorted[sorted.size() * 3 / 5];
  smooth.tolerance = std::clamp(2.2 * bulk, 1.0 * kTolerance, 1.0 * kMostTolerance);
  smooth.share = static_cast<double>(std::ranges::count_if(
                     offs, [&](double off) { return off <= smooth.tolerance; })) /
                 static_cast<double>(offs.size());
  return smooth;
}

// Colours that the border shows on most sides: stripes, checks, two halves. A thing that is cut
// off shows on one side or two.
std::vector<Colour> common_colours(const std::vector<BorderPixel>& border) {
  std::vector<Colour> colours;
  std::vector<bool> gone(border.size(), false);
  std::array<double, 4> side_length{};
  for (const BorderPixel& pixel : border) side_length[pixel.side] += 1;
  for (int round = 0; round < 10; ++round) {
    std::map<int, std::pair<int, Colour>> bins;
    for (std::size_t i = 0; i < border.size(); ++i) {
      if (gone[i]) continue;
      const Colour& c = border[i].colour;
      auto& [count, sum] = bins[static_cast<int>(c[0] / 16) << 8 |
                                static_cast<int>(c[1] / 16) << 4 | static_cast<int>(c[2] / 16)];
      ++count;
      for (std::size_t k = 0; k < 3; ++k) sum[k] += c[k];
    }
    const auto best =
        std::ranges::max_element(bins, {}, [](const auto& bin) { return bin.second.first; });
    if (best == bins.end()) break;
    Colour mean = best->second.second;
    for (double& c : mean) c /= best->second.first;
    std::array<double, 4> on_side{};
    double total = 0;
    for (std::size_t i = 0; i < border.size(); ++i)
      if (!gone[i] && apart(border[i].colour, mean) <= kTolerance) {
        gone[i] = true;
        on_side[border[i].side] += 1;
        total += 1;
      }
    if (total < 0.02 * static_cast<double>(border.size())) break;
    int sides = 0;
    for (std::size_t s = 0; s < 4; ++s) sides += on_side[s] >= 0.03 * side_length[s];
    if (sides >= 3 || (sides == 2 && total >= 0.25 * static_cast<double>(border.size())))
      colours.push_back(mean);
  }
  return colours;
}

using Mask = std::vector<std::uint8_t>;

struct Grid {
  int width, height;
  std::size_t index(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
  std::size_t size() const {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  }
};

// Lines one pixel wide (edges of stripes, grain) go; what is wider stays as it was.
Mask opened(const Mask& mask, const Grid& grid) {
  Mask inner(mask.size(), 0), out(mask.size(), 0);
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x) {
      bool all = true;
      for (int dy = -1; dy <= 1 && all; ++dy)
        for (int dx = -1; dx <= 1 && all; ++dx) {
          const int u = std::clamp(x + dx, 0, grid.width - 1);
          const int v = std::clamp(y + dy, 0, grid.height - 1);
          all = mask[grid.index(u, v)] != 0;
        }
      inner[grid.index(x, y)] = all;
    }
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x)
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx)
          if (x + dx >= 0 && x + dx < grid.width && y + dy >= 0 && y + dy < grid.height)
            out[grid.index(x, y)] |= inner[grid.index(x + dx, y + dy)];
  return out;
}

// Under letters: ink where there is ink on both sides of them, across or down.
void see_through(Mask& mask, const Grid& grid, const std::vector<Box>& holes, const Mask& hole) {
  Mask seen = mask;
  for (const Box& box : holes)
    for (int y = box.y; y < box.bottom(); ++y)
      for (int x = box.x; x < box.right(); ++x) {
        const auto ink_towards = [&](int dx, int dy) {
          int u = x, v = y;
          while (u >= 0 && v >= 0 && u < grid.width && v < grid.height) {
            if (!hole[grid.index(u, v)]) return mask[grid.index(u, v)] != 0;
            u += dx;
            v += dy;
          }
          return false;
        };
        seen[grid.index(x, y)] =
            (ink_towards(-1, 0) && ink_towards(1, 0)) || (ink_towards(0, -1) && ink_towards(0, 1));
      }
  mask = std::move(seen);
}

struct Blob {
  Box box;
  int pixels = 0;
  Colour sum{}, squares{};
  int coloured = 0;
};

// Connected pixels get the same label, from 1.
std::vector<Blob> blobs_of(const Mask& mask, const Grid& grid, const Picture& picture,
                           const Mask& hole, std::vector<int>& label) {
  label.assign(grid.size(), 0);
  std::vector<Blob> blobs;
  std::vector<std::pair<int, int>> stack;
  for (int y0 = 0; y0 < grid.height; ++y0)
    for (int x0 = 0; x0 < grid.width; ++x0) {
      if (!mask[grid.index(x0, y0)] || label[grid.index(x0, y0)] != 0) continue;
      Blob blob;
      const int number = static_cast<int>(blobs.size()) + 1;
      stack.assign(1, {x0, y0});
      label[grid.index(x0, y0)] = number;
      while (!stack.empty()) {
        const auto [x, y] = stack.back();
        stack.pop_back();
        blob.box = united(blob.box, {x, y, 1, 1});
        ++blob.pixels;
        if (!hole[grid.index(x, y)]) {
          ++blob.coloured;
          for (std::size_t c = 0; c < 3; ++c) {
            const double v = picture.at(x, y)[c];
            blob.sum[c] += v;
            blob.squares[c] += v * v;
          }
        }
        constexpr std::pair<int, int> kNext[] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
        for (const auto& [dx, dy] : kNext) {
          const int u = x + dx, v = y + dy;
          if (u < 0 || v < 0 || u >= grid.width || v >= grid.height) continue;
          const std::size_t i = grid.index(u, v);
          if (!mask[i] || label[i] != 0) continue;
          label[i] = number;
          stack.emplace_back(u, v);
        }
      }
      blobs.push_back(blob);
    }
  return blobs;
}

bool is_plain(const Blob& blob) {
  double spread = 0;
  const double n = std::max(1, blob.coloured);
  for (std::size_t c = 0; c < 3; ++c) {
    const double mean = blob.sum[c] / n;
    spread = std::max(spread, std::sqrt(std::max(0.0, blob.squares[c] / n - mean * mean)));
  }
  return spread <= kPlainSpread;
}

constexpr int kAnyLabel = -1;

// How much of a box's rim has this label, or any.
double rim_share(const Box& box, int number, const std::vector<int>& label, const Mask& hole,
                 const Grid& grid) {
  int of = 0, has = 0;
  const Box rim = grown(box, 1);
  const auto look = [&](int x, int y) {
    if (x < 0 || y < 0 || x >= grid.width || y >= grid.height || hole[grid.index(x, y)]) return;
    ++of;
    const int here = label[grid.index(x, y)];
    has += number == kAnyLabel ? here != 0 : here == number;
  };
  for (int x = rim.x; x < rim.right(); ++x) {
    look(x, rim.y);
    look(x, rim.bottom() - 1);
  }
  for (int y = rim.y + 1; y + 1 < rim.bottom(); ++y) {
    look(rim.x, y);
    look(rim.right() - 1, y);
  }
  return of == 0 ? 0 : static_cast<double>(has) / of;
}

Mask ink_mask(const Picture& picture, const Grid& grid, Scene& scene) {
  const std::vector<BorderPixel> border = border_of(picture);
  const Smooth smooth = fit_smooth(border);
  const std::vector<Colour> colours = common_colours(border);
  const bool use_smooth = smooth.share >= 0.5;
  std::size_t explained = 0;
  for (const BorderPixel& pixel : border) {
    const bool fits =
        (use_smooth && apart(pixel.colour, smooth.at(pixel.x, pixel.y)) <= smooth.tolerance) ||
        std::ranges::any_of(colours,
                            [&](const Colour& c) { return apart(pixel.colour, c) <= kTolerance; });
    explained += fits;
  }
  scene.ground_known =
      static_cast<double>(explained) >= kExplained * static_cast<double>(border.size());
  Mask mask(grid.size(), 0);
  std::size_t ink = 0;
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x) {
      const std::uint8_t* p = picture.at(x, y);
      const bool ground =
          (use_smooth &&
           apart(p, smooth.at(2.0 * x / std::max(1, grid.width - 1) - 1,
                              2.0 * y / std::max(1, grid.height - 1) - 1)) <= smooth.tolerance) ||
          std::ranges::any_of(colours, [&](const Colour& c) { return apart(p, c) <= kTolerance; });
      mask[grid.index(x, y)] = !ground;
      ink += !ground;
    }
  scene.ink_share = static_cast<double>(ink) / static_cast<double>(grid.size());
  if (scene.ink_share > kMostInk) scene.ground_known = false;
  return mask;
}

// Runs of ink along an edge, as letters make them that are cut in two.
int pieces_along(const Mask& mask, const Grid& grid, Side side) {
  const bool across = side == kTop || side == kBottom;
  const int length = across ? grid.width : grid.height;
  int pieces = 0, run = 0;
  for (int i = 0; i <= length; ++i) {
    const bool ink = i < length && mask[across ? grid.index(i, side == kTop ? 0 : grid.height - 1)
                                               : grid.index(side == kLeft ? 0 : grid.width - 1, i)];
    if (!ink) pieces += run >= 1 && run <= length / 6;
    run = ink ? run + 1 : 0;
  }
  return pieces;
}

}  // namespace

Scene scene_of(const Picture& whole, const std::vector<Box>& letters) {
  const Picture picture = fitted(whole, kSceneSide);
  const Grid grid{picture.width, picture.height};
  const double factor = static_cast<double>(whole.width) / picture.width;
  Scene scene;
  Mask mask = ink_mask(picture, grid, scene);
  if (!scene.ground_known) return scene;
  for (const Side side : {kTop, kRight, kBottom, kLeft})
    scene.cut_pieces[side] = pieces_along(mask, grid, side);

  Mask hole(grid.size(), 0);
  std::vector<Box> holes;
  for (const Box& word : letters) {
    const auto down = [&](double v) { return static_cast<int>(std::floor(v / factor)); };
    // Accents, tails and soft edges stick out of what the reader calls the word.
    const Box box = common(grown({down(word.x), down(word.y), down(word.w) + 1, down(word.h) + 1},
                                 1 + down(word.h) / 8),
                           picture.box());
    holes.push_back(box);
    for (int y = box.y; y < box.bottom(); ++y)
      for (int x = box.x; x < box.right(); ++x) hole[grid.index(x, y)] = 1;
  }
  mask = opened(mask, grid);
  see_through(mask, grid, holes, hole);
  std::vector<int> label;
  const std::vector<Blob> blobs = blobs_of(mask, grid, picture, hole, label);
  for (const Box& each : holes) scene.rims.push_back(rim_share(each, kAnyLabel, label, hole, grid));
  for (std::size_t b = 0; b < blobs.size(); ++b) {
    const Blob& blob = blobs[b];
    const double share = static_cast<double>(blob.pixels) / static_cast<double>(grid.size());
    if (share < kLeastThing) continue;
    const auto up = [&](int v) { return static_cast<int>(std::lround(v * factor)); };
    Thing thing{{up(blob.box.x), up(blob.box.y), up(blob.box.w), up(blob.box.h)},
                share,
                static_cast<double>(blob.pixels) / static_cast<double>(blob.box.area()),
                is_plain(blob),
                {},
                {}};
    thing.box = common(thing.box, whole.box());
    for (std::size_t i = 0; i < holes.size(); ++i) {
      const double on = rim_share(holes[i], static_cast<int>(b) + 1, label, hole, grid);
      if (on <= 0) continue;
      thing.on.push_back(letters[i]);
      thing.on_share.push_back(on);
    }
    scene.things.push_back(std::move(thing));
  }
  std::ranges::stable_sort(scene.things, std::greater<>(), &Thing::share);
  return scene;
}

double word_contrast(const Picture& picture, const Box& word, const std::vector<Box>& others) {
  const Box box = common(word, picture.box());
  if (box.empty()) return 21;
  std::vector<double> inside, around;
  for (int y = box.y; y < box.bottom(); ++y)
    for (int x = box.x; x < box.right(); ++x) inside.push_back(luminance(picture.at(x, y)));
  const int margin = std::max(3, box.h / 6);
  const Box ring = common(grown(box, margin), picture.box());
  const auto in = [](const Box& b, int x, int y) {
    return x >= b.x && x < b.right() && y >= b.y && y < b.bottom();
  };
  for (int y = ring.y; y < ring.bottom(); ++y)
    for (int x = ring.x; x < ring.right(); ++x)
      // The row next to the letters holds their soft edges.
      if (!in(grown(box, 1), x, y) &&
          std::ranges::none_of(others, [&](const Box& other) { return in(other, x, y); }))
        around.push_back(luminance(picture.at(x, y)));
  if (around.empty()) around = inside;
  std::ranges::sort(inside);
  std::ranges::sort(around);
  const auto quantile = [](const std::vector<double>& v, double q) {
    return v[static_cast<std::size_t>(q * static_cast<double>(v.size() - 1))];
  };
  const double ground = quantile(around, 0.5);
  const double dark = quantile(inside, 0.05), light = quantile(inside, 0.95);
  const double ink = contrast_ratio(dark, ground) > contrast_ratio(light, ground) ? dark : light;
  std::vector<double> ratios;
  for (const double each : around) ratios.push_back(contrast_ratio(ink, each));
  std::ranges::sort(ratios);
  return quantile(ratios, 0.3);
}

double luminance(const std::uint8_t* rgb) {
  static const std::array<double, 256> kLinear = [] {
    std::array<double, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i) {
      const double v = static_cast<double>(i) / 255;
      table[i] = v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
    }
    return table;
  }();
  return 0.2126 * kLinear[rgb[0]] + 0.7152 * kLinear[rgb[1]] + 0.0722 * kLinear[rgb[2]];
}

double contrast_ratio(double luminance_a, double luminance_b) {
  return (std::max(luminance_a, luminance_b) + 0.05) / (std::min(luminance_a, luminance_b) + 0.05);
}

}  // namespace lathe::loop
