// LFM2-VL: SigLIP 2 with a table of positions that is laid over pictures of any shape; squares of
// patches become one row, a norm, two matrices. Large pictures go in as tiles and an overview.
#include <algorithm>
#include <cmath>

#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr int kLeastTokens = 64, kMostTokens = 256;  // of an input that is no tile
constexpr int kTile = 512;                           // pixels; of pictures beyond two tiles a side
constexpr int kLeastTiles = 2, kMostTiles = 10;
constexpr float kNormEpsilon = 1e-5f;

class Lfm2 final : public VisionModel {
 public:
  Lfm2(const ClipHeader& header, WeightList& list, std::size_t merge);
  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override {
    const std::size_t side = kTile / header_.patch;
    return std::max<std::size_t>(kMostTokens * merge_ * merge_, side * side);
  }
  std::int64_t most_pixels() const override { return std::max(limits().most, most_area(grids_)); }
  Result<PicturePlan> plan(PictureSize picture) const override;
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  AreaLimits limits() const {
    const auto unit = static_cast<int>(header_.patch * merge_);
    return {unit, std::int64_t{kLeastTokens} * unit * unit,
            std::int64_t{kMostTokens} * unit * unit};
  }

  ClipHeader header_;
  std::size_t merge_;
  std::vector<PictureSize> grids_;
  PatchEmbedding embedding_;
  Vit vit_;
  std::size_t positions_side_;
  std::vector<float> positions_;
  NormLayer post_norm_;
  std::optional<NormLayer> norm_;
  std::size_t width_;
  Mlp mlp_;
};

Lfm2::Lfm2(const ClipHeader& header, WeightList& list, std::size_t merge)
    : header_(header),
      merge_(merge),
      grids_(tile_grids(kTile, kLeastTiles, kMostTiles)),
      embedding_(list, header),
      vit_(list, "v", VitSpec::of(header, EncoderNorm::kLayer)),
      positions_side_(static_cast<std::size_t>(
          std::sqrt(static_cast<double>(list.dimension("v.position_embd.weight", 1))))),
      width_(list.dimension("mm.2.weight", 1)) {
  std::ranges::stable_sort(grids_, {}, &PictureSize::area);
  const std::size_t inner = header.width, square = merge * merge * inner;
  list.numbers("v.position_embd.weight", positions_side_ * positions_side_ * inner, &positions_);
  post_norm_.ask(list, "v.post_ln", inner, EncoderNorm::kLayer, header.epsilon);
  if (list.has("mm.input_norm.weight"))
    norm_.emplace().ask(list, "mm.input_norm", square, EncoderNorm::kLayer, kNormEpsilon);
  mlp_.ask(list, "mm.1", "mm.2", square, list.dimension("mm.1.weight", 1), width_);
}

Result<PicturePlan> Lfm2::plan(PictureSize picture) const {
  LATHE_TRY(Canvas overview, fitted_canvas(picture, limits()));
  overview.letterbox = false;
  PicturePlan plan = single_input(overview, {"<|img_thumbnail|>"}, {"<|image_end|>"});
  if (std::max(picture.width, picture.height) > 2 * kTile) {
    const Canvas tiled{
        .size = nearest_shape(picture, grids_), .tile = {kTile, kTile}, .letterbox = false};
    const auto columns = static_cast<std::size_t>(tiled.columns());
    plan.canvases.insert(plan.canvases.begin(), tiled);
    for (std::size_t i = tiled.tiles(); i-- > 0;)
      plan.before.insert(plan.before.begin(),
                         {fmt::format("<|img_row_{}_col_{}|>", i / columns + 1, i % columns + 1)});
  }
  plan.before.front().insert(plan.before.front().begin(), "<|image_start|>");
  return plan;
}

Result<VisionRows> Lfm2::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::vector<Patch> patches = in_rows(grid);
  const std::size_t inner = header_.width;
  embedding_.run(pass, pixels, patches);
  add_positions(pass, positions_, positions_side_, TableFit::kAntialiased, grid, patches);
  LATHE_TRY_STATUS(vit_.run(pass, patches.size()));

  const Merged squares{grid, merge_};
  VisionRows out{.values = std::vector<float>(squares.count() * width_), .shape = {}};
  mlp_.run(
      pass, squares.count(),
      [&](std::size_t i, float* row) {
        std::fill_n(row, merge_ * merge_ * inner, 0.0f);
        squares.each(i, [&](std::size_t place, std::size_t patch) {
          post_norm_.run(kernels, pass.x.data() + patch * inner, row + place * inner);
        });
        if (norm_) norm_->run(kernels, row, row);
      },
      out.values.data(), width_);
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_lfm2(const ClipHeader& header, WeightList& list) {
  LATHE_TRY(const std::size_t merge, header.merge_or(1));
  if (kTile % header.patch != 0)
    return invalid("{}: clip.vision.patch_size {} does not divide tiles of {} pixels",
                   header.place(), header.patch, kTile);
  return std::make_unique<Lfm2>(header, list, merge);
}

}  // namespace lathe::infer
