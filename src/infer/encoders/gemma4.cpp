// Gemma 4: pictures of any shape, tables of positions for columns and rows, rotary positions of
// each on half of a head, patches averaged in squares.
#include <cmath>

#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr int kLeastTokens = 40, kMostTokens = 280;  // of a picture
constexpr double kRopeBase = 100;

class Gemma4 final : public VisionModel {
 public:
  Gemma4(const ClipHeader& header, WeightList& list, std::size_t merge);
  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override { return kMostTokens * merge_ * merge_; }
  std::int64_t most_pixels() const override { return limits().most; }
  Result<PicturePlan> plan(PictureSize picture) const override;
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  static VitSpec layers_of(const ClipHeader& header) {
    VitSpec spec = VitSpec::of(header, EncoderNorm::kRms);
    spec.score_scale = 1;
    spec.value_norm = true;
    return spec;
  }
  AreaLimits limits() const {
    const auto unit = static_cast<int>(header_.patch * merge_);
    return {unit, std::int64_t{kLeastTokens} * unit * unit,
            std::int64_t{kMostTokens} * unit * unit};
  }

  ClipHeader header_;
  std::size_t merge_;
  PatchEmbedding embedding_;
  Vit vit_;
  std::size_t most_side_;         // patches on a side that have a position
  std::vector<float> positions_;  // (2, most_side, width): of columns, of rows
  std::vector<float> bias_, scale_;
  NormLayer norm_;
  std::size_t width_;
  LinearLayer projection_;
};

Gemma4::Gemma4(const ClipHeader& header, WeightList& list, std::size_t merge)
    : header_(header),
      merge_(merge),
      embedding_(list, header),
      vit_(list, "v", layers_of(header)),
      most_side_(list.dimension("v.position_embd.weight", 1)),
      norm_(NormLayer::plain(header.width, header.epsilon)),
      width_(list.dimension("mm.input_projection.weight", 1)) {
  list.numbers("v.position_embd.weight", 2 * most_side_ * header.width, &positions_);
  list.numbers("v.std_bias", header.width, &bias_);
  list.numbers("v.std_scale", header.width, &scale_);
  projection_.ask(list, "mm.input_projection", header.width, width_);
}

Result<PicturePlan> Gemma4::plan(PictureSize picture) const {
  LATHE_TRY(const Canvas canvas, fitted_canvas(picture, limits()));
  const PatchGrid grid = PatchGrid::of(canvas.size, header_.patch);
  if (std::max(grid.columns, grid.rows) > most_side_)
    return invalid(
        "a picture of {}×{} pixels is too long for this encoder: it would have {}×{} patches, and "
        "v.position_embd.weight knows {} places a side; cut it into parts",
        picture.width, picture.height, grid.columns, grid.rows, most_side_);
  return single_input(canvas, {"<|image>"}, {"<image|>"});
}

Result<VisionRows> Gemma4::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::vector<Patch> patches = in_rows(grid);
  const std::size_t inner = header_.width;
  PixelPlanes centred = pixels;
  for (float& value : centred.values) value = 2 * value - 1;
  embedding_.run(pass, centred, patches);
  const float *of_columns = positions_.data(), *of_rows = of_columns + most_side_ * inner;
  pass.team->run(patches.size(), [&](std::size_t i, int) {
    kernels.add(of_columns + patches[i].column * inner, inner, pass.x.data() + i * inner);
    kernels.add(of_rows + patches[i].row * inner, inner, pass.x.data() + i * inner);
  });
  const std::size_t head = header_.head_dim(), half = head / 4;
  const std::vector<double> turns = rotary_frequencies(kRopeBase, half, head / 2);
  const Rotation rotation =
      rotation_of(patches, head, 2, true, [&](const Patch& patch, std::size_t i) {
        return static_cast<double>(i < half ? patch.column : patch.row) * turns[i % half];
      });
  LATHE_TRY_STATUS(vit_.run(pass, patches.size(), &rotation));

  const Merged squares{grid, merge_};
  const float factor = static_cast<float>(std::sqrt(static_cast<double>(inner)) /
                                          static_cast<double>(merge_ * merge_));
  VisionRows out{.values = std::vector<float>(squares.count() * width_), .shape = {.mutual = true}};
  run_linear(
      pass, projection_, squares.count(),
      [&](std::size_t i, float* row) {
        std::fill_n(row, inner, 0.0f);
        squares.each(i, [&](std::size_t, std::size_t patch) {
          kernels.add(pass.x.data() + patch * inner, inner, row);
        });
        for (std::size_t j = 0; j < inner; ++j) row[j] = (row[j] * factor - bias_[j]) * scale_[j];
        norm_.run(kernels, row, row);
      },
      out.values.data(), width_);
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_gemma4(const ClipHeader& header, WeightList& list) {
  LATHE_TRY_STATUS(header.check_rotary_heads());
  LATHE_TRY(const std::size_t merge, header.merge_or(3));
  return std::make_unique<Gemma4>(header, list, merge);
}

}  // namespace lathe::infer
