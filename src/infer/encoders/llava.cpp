// LLaVA: CLIP's vision transformer up to its last layer but one, each patch a row, two
// matrices. 1.5 sees the picture once at one size; 1.6 also in tiles, on the canvas of its header
// that fits best.
#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kMostTiles = 64;                            // of a canvas
constexpr std::array<std::uint8_t, 3> kBorder = {122, 116, 104};  // the mean colour of its training

class Llava final : public VisionModel {
 public:
  Llava(const ClipHeader& header, WeightList& list, std::vector<PictureSize> canvases)
      : header_(header),
        canvases_(std::move(canvases)),
        embedding_(list, header),
        vit_(list, "v", layers_of(header)) {
    list.numbers("v.class_embd", header.width, &class_);
    list.numbers("v.position_embd.weight", most_rows() * header.width, &positions_);
    pre_norm_.ask(list, "v.pre_ln", header.width, EncoderNorm::kLayer, header.epsilon);
    width_ = list.dimension("mm.2.weight", 1);
    mlp_.ask(list, "mm.0", "mm.2", header.width, list.dimension("mm.0.weight", 1), width_);
  }

  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override {
    return header_.tile_patches() * header_.tile_patches() + 1;
  }
  std::int64_t most_pixels() const override {
    const auto side = static_cast<std::int64_t>(header_.image);
    return std::max(most_area(canvases_), side * side);
  }
  Result<PicturePlan> plan(PictureSize picture) const override {
    const auto side = static_cast<int>(header_.image);
    if (!canvases_.empty()) return tiles_and_overview(picture, side, canvases_);
    return single_input({.size = {side, side},
                         .tile = {side, side},
                         .resampling = Resampling::kBicubic,
                         .border = kBorder},
                        {}, {});
  }
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  static VitSpec layers_of(const ClipHeader& header) {
    VitSpec spec = VitSpec::of(header, EncoderNorm::kLayer);
    --spec.layers;
    return spec;
  }

  ClipHeader header_;
  std::vector<PictureSize> canvases_;  // of 1.6; empty: 1.5
  PatchEmbedding embedding_;
  Vit vit_;
  std::vector<float> class_, positions_;
  NormLayer pre_norm_;
  std::size_t width_ = 0;
  Mlp mlp_;
};

Result<VisionRows> Llava::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::size_t inner = header_.width, rows = grid.count() + 1;
  std::copy_n(class_.data(), inner, pass.x.data());
  embedding_.run(pass, pixels, in_rows(grid), 1);
  kernels.add(positions_.data(), positions_.size(), pass.x.data());
  pass.team->run(rows, [&](std::size_t i, int) {
    float* row = pass.x.data() + i * inner;
    pre_norm_.run(kernels, row, row);
  });
  LATHE_TRY_STATUS(vit_.run(pass, rows));

  VisionRows out{.values = std::vector<float>(grid.count() * width_), .shape = {}};
  mlp_.run(
      pass, grid.count(),
      [&](std::size_t i, float* row) {  // the class token stays behind
        std::copy_n(pass.x.data() + (i + 1) * inner, inner, row);
      },
      out.values.data(), width_);
  return out;
}

Result<std::vector<PictureSize>> read_canvases(const ClipHeader& header) {
  const std::string_view key = "clip.vision.image_grid_pinpoints";
  LATHE_TRY(const std::vector<std::int64_t> sides, header.file->ints(key));
  if (sides.size() % 2 != 0)
    return invalid("{}: {} has {} numbers; it needs pairs of width and height", header.place(), key,
                   sides.size());
  const auto tile = static_cast<std::int64_t>(header.image);
  std::vector<PictureSize> sizes;
  for (std::size_t i = 0; i < sides.size(); i += 2) {
    const std::int64_t width = sides[i], height = sides[i + 1];
    const auto wrong = [&](std::int64_t side) { return side < tile || side % tile != 0; };
    if (wrong(width) || wrong(height) || width > 65536 || height > 65536 ||
        width / tile * (height / tile) > static_cast<std::int64_t>(kMostTiles))
      return invalid(
          "{}: {} has a size of {} × {}; sizes must be 1 to {} tiles of clip.vision.image_size {}",
          header.place(), key, width, height, kMostTiles, tile);
    sizes.push_back({static_cast<int>(width), static_cast<int>(height)});
  }
  return sizes;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_llava(const ClipHeader& header, WeightList& list) {
  LATHE_TRY(std::vector<PictureSize> canvases, read_canvases(header));
  if (header.file->has("clip.vision.feature_layer"))
    return invalid(
        "{}: clip.vision.feature_layer joins the rows of several layers; Lathe does not "
        "run such encoders yet",
        header.place());
  return std::make_unique<Llava>(header, list, std::move(canvases));
}

}  // namespace lathe::infer
