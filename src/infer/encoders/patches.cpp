// Patches: embedding, positions, angles.
#include "infer/encoders/patches.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {
namespace {

// What a place of a new grid takes of the table's rows (or columns): weights from `first` on.
struct Taps {
  std::size_t first = 0;
  std::vector<float> weights;
};

std::vector<Taps> corner_taps(std::size_t from, std::size_t to) {
  std::vector<Taps> all;
  for (std::size_t i = 0; i < to; ++i) {
    const double step = to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0;
    const double at = static_cast<double>(i) * step;
    const std::size_t low = std::min(static_cast<std::size_t>(at), from - 1);
    const double part = at - static_cast<double>(low);
    Taps& taps = all.emplace_back();
    taps.first = low;
    taps.weights = {static_cast<float>(1 - part)};
    if (low + 1 < from) taps.weights.push_back(static_cast<float>(part));
  }
  return all;
}

std::vector<Taps> antialiased_taps(std::size_t from, std::size_t to) {
  const double step = static_cast<double>(from) / static_cast<double>(to);
  const double reach = std::max(1.0, step);
  std::vector<Taps> all;
  for (std::size_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * step;
    const auto first = static_cast<std::size_t>(std::max(0.0, centre - reach + 0.5));
    const std::size_t end = std::min(from, static_cast<std::size_t>(centre + reach + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (std::size_t j = first; j < end; ++j) {
      weights.push_back(
          std::max(0.0, 1 - std::abs((static_cast<double>(j) - centre + 0.5) / reach)));
      sum += weights.back();
    }
    Taps& taps = all.emplace_back();
    taps.first = first;
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  }
  return all;
}

}  // namespace

PatchGrid PatchGrid::of(PictureSize size, std::size_t patch) {
  return {static_cast<std::size_t>(size.width) / patch,
          static_cast<std::size_t>(size.height) / patch};
}

std::vector<Patch> in_rows(const PatchGrid& grid) {
  std::vector<Patch> patches;
  patches.reserve(grid.count());
  for (std::size_t row = 0; row < grid.rows; ++row)
    for (std::size_t column = 0; column < grid.columns; ++column) patches.push_back({row, column});
  return patches;
}

PatchEmbedding::PatchEmbedding(WeightList& list, const ClipHeader& header, std::size_t kernels)
    : patch_(header.patch), width_(header.width), kernels_(kernels) {
  const std::string name = "v.patch_embd";
  for (std::size_t i = 0; i < kernels; ++i)
    kernels_[i].ask_matrix(list, i == 0 ? name + ".weight" : fmt::format("{}.weight.{}", name, i),
                           3 * patch_ * patch_, width_);
  if (list.has(name + ".bias")) list.numbers(name + ".bias", width_, &bias_);
}

void PatchEmbedding::run(EncoderPass& pass, const PixelPlanes& pixels,
                         std::span<const Patch> patches, std::size_t first) const {
  LATHE_CHECK(first + patches.size() <= pass.sizes.rows);
  const auto across = static_cast<std::size_t>(pixels.size.width);
  const std::size_t plane = across * static_cast<std::size_t>(pixels.size.height);
  const std::size_t k = 3 * patch_ * patch_;
  for_blocks(patches.size(), [&](std::size_t at, std::size_t count) {
    pass.team->run(count, [&](std::size_t i, int) {
      const Patch& patch = patches[at + i];
      float* to = pass.input.data() + i * k;
      for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t y = 0; y < patch_; ++y, to += patch_)
          std::copy_n(pixels.values.data() + c * plane + (patch.row * patch_ + y) * across +
                          patch.column * patch_,
                      patch_, to);
    });
    float* x = pass.x.data() + (first + at) * width_;
    for (std::size_t j = 0; j < kernels_.size(); ++j) {
      float* out = j == 0 ? x : pass.left.data();
      kernels_[j].run(pass, pass.input.data(), count, out, width_);
      if (j != 0) pass.kernels().add(out, count * width_, x);
    }
    if (bias_.empty()) return;
    for (std::size_t i = 0; i < count; ++i)
      pass.kernels().add(bias_.data(), width_, x + i * width_);
  });
}

void add_positions(EncoderPass& pass, const std::vector<float>& table, std::size_t size,
                   TableFit fit, const PatchGrid& grid, std::span<const Patch> patches) {
  const std::size_t width = pass.sizes.width;
  const bool same = grid.rows == size && grid.columns == size;
  const auto taps_of = fit == TableFit::kCorners || same ? corner_taps : antialiased_taps;
  const std::vector<Taps> down = taps_of(size, grid.rows), across = taps_of(size, grid.columns);
  pass.team->run(patches.size(), [&](std::size_t i, int) {
    const Taps &rows = down[patches[i].row], &columns = across[patches[i].column];
    float* x = pass.x.data() + i * width;
    for (std::size_t r = 0; r < rows.weights.size(); ++r)
      for (std::size_t c = 0; c < columns.weights.size(); ++c)
        pass.kernels().add_scaled(
            table.data() + ((rows.first + r) * size + columns.first + c) * width,
            rows.weights[r] * columns.weights[c], width, x);
  });
}

std::vector<double> rotary_frequencies(double base, std::size_t count, std::size_t dimensions) {
  std::vector<double> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dimensions)));
  return out;
}

Rotation rotation_of(std::span<const Patch> patches, std::size_t head_dim, std::size_t parts,
                     bool split_halves,
                     const std::function<double(const Patch&, std::size_t)>& angle) {
  Rotation rotation{.parts = parts,
                    .split_halves = split_halves,
                    .angles = std::vector<float>(patches.size() * head_dim)};
  const std::size_t pairs = head_dim / 2 / parts;  // of a part
  for (std::size_t t = 0; t < patches.size(); ++t)
    for (std::size_t i = 0; i < head_dim / 2; ++i) {
      float* cosine = rotation.angles.data() + t * head_dim + i / pairs * 2 * pairs + i % pairs;
      const double turn = angle(patches[t], i);
      cosine[0] = static_cast<float>(std::cos(turn));
      cosine[pairs] = static_cast<float>(std::sin(turn));
    }
  return rotation;
}

}  // namespace lathe::infer
