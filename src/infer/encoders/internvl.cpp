// InternVL: a vision transformer with a class token at one size, over the tiles of the picture and
// once over all of it; squares of patches become one row ("pixel shuffle"), a norm, two matrices.
#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMostTiles = 64;
constexpr float kNormEpsilon = 1e-5f;

class InternVl final : public VisionModel {
 public:
  InternVl(const ClipHeader& header, WeightList& list, std::size_t merge,
           std::vector<PictureSize> grids)
      : header_(header),
        merge_(merge),
        grids_(std::move(grids)),
        embedding_(list, header),
        vit_(list, "v", VitSpec::of(header, EncoderNorm::kLayer)) {
    const std::size_t square = merge * merge * header.width;
    list.numbers("v.class_embd", header.width, &class_);
    list.numbers("v.position_embd.weight", most_rows() * header.width, &positions_);
    norm_.ask(list, "mm.model.mlp.0", square, EncoderNorm::kLayer, kNormEpsilon);
    width_ = list.dimension("mm.model.mlp.3.weight", 1);
    mlp_.ask(list, "mm.model.mlp.1", "mm.model.mlp.3", square,
             list.dimension("mm.model.mlp.1.weight", 1), width_);
  }

  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override {
    return header_.tile_patches() * header_.tile_patches() + 1;
  }
  std::int64_t most_pixels() const override { return most_area(grids_); }
  Result<PicturePlan> plan(PictureSize picture) const override {
    PicturePlan plan = tiles_and_overview(picture, static_cast<int>(header_.image), grids_);
    plan.before.front() = {"<img>"};
    plan.after = {"</img>"};
    return plan;
  }
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  ClipHeader header_;
  std::size_t merge_;
  std::vector<PictureSize> grids_;
  PatchEmbedding embedding_;
  Vit vit_;
  std::vector<float> class_, positions_;
  NormLayer norm_;
  std::size_t width_ = 0;
  Mlp mlp_;
};

Result<VisionRows> InternVl::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::size_t inner = header_.width;
  std::copy_n(class_.data(), inner, pass.x.data());
  embedding_.run(pass, pixels, in_rows(grid), 1);
  kernels.add(positions_.data(), positions_.size(), pass.x.data());
  LATHE_TRY_STATUS(vit_.run(pass, grid.count() + 1));

  const float* patches = pass.x.data() + inner;  // behind the class token
  const Merged squares{grid, merge_};
  VisionRows out{.values = std::vector<float>(squares.count() * width_), .shape = {}};
  mlp_.run(
      pass, squares.count(),
      [&](std::size_t i, float* row) {
        std::fill_n(row, merge_ * merge_ * inner, 0.0f);
        squares.each(i, [&](std::size_t place, std::size_t patch) {
          std::copy_n(patches + patch * inner, inner, row + place * inner);
        });
        norm_.run(kernels, row, row);
      },
      out.values.data(), width_);
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_internvl(const ClipHeader& header, WeightList& list) {
  LATHE_TRY(const std::size_t merge, header.merge_or(1));
  LATHE_TRY(const std::size_t least, header.size_or("preproc_min_tiles", 1, 1, kMostTiles));
  LATHE_TRY(const std::size_t most, header.size_or("preproc_max_tiles", 12, least, kMostTiles));
  return std::make_unique<InternVl>(
      header, list, merge,
      tile_grids(static_cast<int>(header.image), static_cast<int>(least), static_cast<int>(most)));
}

}  // namespace lathe::infer
