// Idefics3 and SmolVLM: SigLIP at one size, over the tiles of the picture and once over all of it;
// squares of patches become one row ("pixel shuffle"), one matrix.
#include <algorithm>

#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMostTiles = 256;
constexpr const char* kFake = "<fake_token_around_image>";

class Idefics3 final : public VisionModel {
 public:
  Idefics3(const ClipHeader& header, WeightList& list, std::size_t merge, std::size_t longest)
      : header_(header),
        merge_(merge),
        longest_(static_cast<int>(longest)),
        embedding_(list, header),
        vit_(list, "v", VitSpec::of(header, EncoderNorm::kLayer)),
        width_(list.dimension("mm.model.fc.weight", 1)) {
    list.numbers("v.position_embd.weight", most_rows() * header.width, &positions_);
    post_norm_.ask(list, "v.post_ln", header.width, EncoderNorm::kLayer, header.epsilon);
    projection_.ask(list, "mm.model.fc", merge * merge * header.width, width_);
  }

  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override { return header_.tile_patches() * header_.tile_patches(); }
  std::int64_t most_pixels() const override {
    const PictureSize largest = fitted_side({1, 1}, longest_, static_cast<int>(header_.image));
    return largest.area();
  }
  Result<PicturePlan> plan(PictureSize picture) const override;
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  ClipHeader header_;
  std::size_t merge_;
  int longest_;
  PatchEmbedding embedding_;
  Vit vit_;
  std::vector<float> positions_;
  NormLayer post_norm_;
  std::size_t width_;
  LinearLayer projection_;
};

Result<PicturePlan> Idefics3::plan(PictureSize picture) const {
  const auto side = static_cast<int>(header_.image);
  const PictureSize tile{side, side}, size = fitted_side(picture, longest_, side);
  const Canvas tiled{.size = size, .tile = tile, .resampling = Resampling::kBicubic};
  const Canvas overview{.size = tile, .tile = tile, .letterbox = false};
  PicturePlan plan{.canvases = {tiled, overview}, .before = {}, .after = {kFake}};
  const auto columns = static_cast<std::size_t>(tiled.columns());
  for (std::size_t i = 0; i < tiled.tiles(); ++i) {
    PicturePlan::Words& words = plan.before.emplace_back();
    if (i != 0 && i % columns == 0) words.emplace_back("\n");
    words.emplace_back(kFake);
    words.push_back(fmt::format("<row_{}_col_{}>", i / columns + 1, i % columns + 1));
  }
  plan.before.push_back({"\n\n", kFake, "<global-img>"});
  return plan;
}

Result<VisionRows> Idefics3::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::size_t inner = header_.width;
  embedding_.run(pass, pixels, in_rows(grid));
  pass.kernels().add(positions_.data(), positions_.size(), pass.x.data());
  LATHE_TRY_STATUS(vit_.run(pass, grid.count()));

  const Merged squares{grid, merge_};
  VisionRows out{.values = std::vector<float>(squares.count() * width_), .shape = {}};
  run_linear(
      pass, projection_, squares.count(),
      [&](std::size_t i, float* row) {
        std::fill_n(row, merge_ * merge_ * inner, 0.0f);
        squares.each(i, [&](std::size_t place, std::size_t patch) {
          post_norm_.run(pass.kernels(), pass.x.data() + patch * inner, row + place * inner);
        });
      },
      out.values.data(), width_);
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_idefics3(const ClipHeader& header, WeightList& list) {
  LATHE_TRY(const std::size_t merge, header.merge_or(1));
  LATHE_TRY(const std::size_t longest, header.size("preproc_image_size", 1, 16384));
  const std::size_t tiles = (longest + header.image - 1) / header.image;
  if (tiles * tiles > kMostTiles)
    return invalid(
        "{}: clip.vision.preproc_image_size {} is {} tiles of clip.vision.image_size {} a side; at "
        "most {} tiles are possible",
        header.place(), longest, tiles, header.image, kMostTiles);
  return std::make_unique<Idefics3>(header, list, merge, longest);
}

}  // namespace lathe::infer
