// Qwen2-VL, Qwen2.5-VL, Qwen3-VL: pictures of any shape, patches in squares of 2 × 2 that become
// one row, rotary positions. Qwen2.5-VL sees in windows but for some layers; Qwen3-VL has a table
// of positions too, and rows for inner layers of the model ("deepstack") behind each row.
#include <cmath>

#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMerge = 2;
constexpr std::size_t kSquare = kMerge * kMerge;
constexpr int kLeastTokens = 8, kMostTokens = 4096;  // of a picture
constexpr std::size_t kWindowPixels = 112;
constexpr double kRopeBase = 10000;

class QwenVl final : public VisionModel {
 public:
  QwenVl(const ClipHeader& header, WeightList& list, std::size_t window_period);
  std::size_t width() const override { return merger_width_ * (1 + deep_.size()); }
  std::size_t most_rows() const override { return kMostTokens * kSquare; }
  std::int64_t most_pixels() const override { return limits().most; }
  Result<PicturePlan> plan(PictureSize picture) const override {
    LATHE_TRY(const Canvas canvas, fitted_canvas(picture, limits()));
    return single_input(canvas, {"<|vision_start|>"}, {"<|vision_end|>"});
  }
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  // What an inner layer of the model adds, of the encoder's layer.
  struct Deep {
    std::size_t layer = 0;
    NormLayer norm;
    Mlp mlp;
  };
  AreaLimits limits() const {
    const auto unit = static_cast<int>(header_.patch * kMerge);
    return {unit, std::int64_t{kLeastTokens} * unit * unit,
            std::int64_t{kMostTokens} * unit * unit};
  }
  std::size_t window_squares() const { return kWindowPixels / header_.patch / kMerge; }

  ClipHeader header_;
  std::size_t window_period_;  // each so many layers one sees all; 0: all do
  PatchEmbedding embedding_;
  std::vector<float> positions_;  // empty: none
  std::size_t positions_side_ = 0;
  Vit vit_;
  NormLayer post_norm_;
  Mlp merger_;
  std::size_t merger_width_ = 0;
  std::vector<Deep> deep_;
};

EncoderNorm norm_of(const ClipHeader& header) {
  return header.projector == "qwen2.5vl_merger" ? EncoderNorm::kRms : EncoderNorm::kLayer;
}

QwenVl::QwenVl(const ClipHeader& header, WeightList& list, std::size_t window_period)
    : header_(header),
      window_period_(window_period),
      embedding_(list, header, 2),
      vit_(list, "v", VitSpec::of(header, norm_of(header))) {
  const std::size_t width = header.width, square = kSquare * width;
  if (const std::string table = "v.position_embd.weight"; list.has(table)) {
    const std::size_t rows = list.dimension(table, 1);
    positions_side_ = static_cast<std::size_t>(std::sqrt(static_cast<double>(rows)));
    list.numbers(table, positions_side_ * positions_side_ * width, &positions_);
  }
  post_norm_.ask(list, "v.post_ln", width, norm_of(header), header.epsilon);
  merger_width_ = list.dimension("mm.2.weight", 1);
  merger_.ask(list, "mm.0", "mm.2", square, list.dimension("mm.0.weight", 1), merger_width_);
  const auto name = [](std::size_t layer) { return fmt::format("v.deepstack.{}.", layer); };
  std::vector<std::size_t> layers;
  for (std::size_t i = 0; i < header.layers; ++i)
    if (list.has(name(i) + "norm.weight")) layers.push_back(i);
  deep_.resize(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string prefix = name(layers[i]);
    deep_[i].layer = layers[i];
    deep_[i].norm.ask(list, prefix + "norm", square, EncoderNorm::kLayer, header.epsilon);
    deep_[i].mlp.ask(list, prefix + "fc1", prefix + "fc2", square,
                     list.dimension(prefix + "fc1.weight", 1), merger_width_);
  }
}

// Squares in the order in which windows lie together, window by window; and where windows end.
struct WindowOrder {
  std::vector<std::size_t> squares;
  Spans windows;  // in patches
};

WindowOrder order_by_windows(std::size_t columns, std::size_t rows, std::size_t side) {
  WindowOrder order;
  for (std::size_t top = 0; top < rows; top += side)
    for (std::size_t left = 0; left < columns; left += side) {
      for (std::size_t y = top; y < std::min(rows, top + side); ++y)
        for (std::size_t x = left; x < std::min(columns, left + side); ++x)
          order.squares.push_back(y * columns + x);
      order.windows.push_back(order.squares.size() * kSquare);
    }
  return order;
}

Result<VisionRows> QwenVl::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const Merged squares{grid, kMerge};
  const std::size_t width = header_.width, count = squares.count();
  const std::size_t side =
      window_period_ != 0 ? window_squares() : std::max(squares.columns(), squares.rows());
  const WindowOrder order = order_by_windows(squares.columns(), squares.rows(), side);
  std::vector<Patch> patches;             // in the encoder's order
  std::vector<std::size_t> place(count);  // of each square's first patch in it
  for (const std::size_t square : order.squares) {
    place[square] = patches.size();
    squares.each(square, [&](std::size_t, std::size_t patch) {
      patches.push_back({patch / grid.columns, patch % grid.columns});
    });
  }
  embedding_.run(pass, pixels, patches);
  if (!positions_.empty())
    add_positions(pass, positions_, positions_side_, TableFit::kCorners, grid, patches);

  const std::size_t head = header_.head_dim(), half = head / 4;
  const std::vector<double> turns = rotary_frequencies(kRopeBase, half, head / 2);
  const Rotation rotation =
      rotation_of(patches, head, 1, true, [&](const Patch& patch, std::size_t i) {
        return static_cast<double>(i < half ? patch.row : patch.column) * turns[i % half];
      });
  VisionRows out{.values = std::vector<float>(count * this->width()),
                 .shape = {.grid_columns = squares.columns()}};
  const Spans all{patches.size()};
  Vit::Run run;
  run.rows = patches.size();
  run.rotation = &rotation;
  run.spans = [&](std::size_t layer) -> const Spans& {
    return window_period_ == 0 || (layer + 1) % window_period_ == 0 ? all : order.windows;
  };
  run.after = [&](std::size_t layer) {
    for (std::size_t i = 0; i < deep_.size(); ++i)
      if (deep_[i].layer == layer)
        deep_[i].mlp.run(
            pass, count,
            [&](std::size_t square, float* row) {
              deep_[i].norm.run(kernels, pass.x.data() + place[square] * width, row);
            },
            out.values.data() + (1 + i) * merger_width_, this->width());
  };
  LATHE_TRY_STATUS(vit_.run(pass, run));
  merger_.run(
      pass, count,
      [&](std::size_t square, float* row) {
        for (std::size_t i = 0; i < kSquare; ++i)
          post_norm_.run(kernels, pass.x.data() + (place[square] + i) * width, row + i * width);
      },
      out.values.data(), this->width());
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_qwen_vl(const ClipHeader& header, WeightList& list) {
  LATHE_TRY_STATUS(header.check_rotary_heads());
  LATHE_TRY(const std::size_t merge, header.merge_or(kMerge));
  if (merge != kMerge)
    return invalid("{}: clip.vision.spatial_merge_size is {}; Lathe runs {} of {}", header.place(),
                   merge, kMerge, header.projector);
  LATHE_TRY(const std::size_t period, header.size_or("n_wa_pattern", 0, 0, header.layers));
  if (period != 0 && kWindowPixels / header.patch / kMerge == 0)
    return invalid(
        "{}: clip.vision.patch_size {} leaves no room in a window of {} pixels "
        "(clip.vision.n_wa_pattern)",
        header.place(), header.patch, kWindowPixels);
  return std::make_unique<QwenVl>(header, list, period);
}

}  // namespace lathe::infer
