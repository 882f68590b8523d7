// Gemma 3: SigLIP at one size, patches averaged in squares, a norm, one matrix.
#include <cmath>

#include "infer/encoders/vision_model.h"
#include "infer/tensor/gemm.h"

namespace lathe::infer {
namespace {

class Gemma3 final : public VisionModel {
 public:
  Gemma3(const ClipHeader& header, WeightList& list, std::size_t merge)
      : header_(header),
        merge_(merge),
        embedding_(list, header),
        vit_(list, "v", VitSpec::of(header, EncoderNorm::kLayer)),
        width_(list.dimension("mm.input_projection.weight", 0)) {
    const std::size_t side = header.tile_patches();
    list.numbers("v.position_embd.weight", side * side * header.width, &positions_);
    post_norm_.ask(list, "v.post_ln", header.width, EncoderNorm::kLayer, header.epsilon);
    norm_.ask(list, "mm.soft_emb_norm", header.width, EncoderNorm::kRms, header.epsilon);
    list.numbers("mm.input_projection.weight", header.width * width_, &projection_);
  }

  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override { return header_.tile_patches() * header_.tile_patches(); }
  std::int64_t most_pixels() const override { return canvas().size.area(); }
  Result<PicturePlan> plan(PictureSize) const override {
    return single_input(canvas(), {"<start_of_image>"}, {"<end_of_image>"});
  }
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  Canvas canvas() const {
    const auto side = static_cast<int>(header_.image);
    return {.size = {side, side}, .tile = {side, side}};
  }

  ClipHeader header_;
  std::size_t merge_;
  PatchEmbedding embedding_;
  Vit vit_;
  std::vector<float> positions_;
  NormLayer post_norm_, norm_;
  std::vector<float> projection_;  // (encoder's width, model's width): not as other matrices lie
  std::size_t width_;
};

Result<VisionRows> Gemma3::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::size_t inner = header_.width;
  embedding_.run(pass, pixels, in_rows(grid));
  kernels.add(positions_.data(), positions_.size(), pass.x.data());
  LATHE_TRY_STATUS(vit_.run(pass, grid.count()));

  const Merged squares{grid, merge_};
  std::vector<float> pooled(squares.count() * inner);
  pass.team->run(squares.count(), [&](std::size_t i, int) {
    float* row = pooled.data() + i * inner;
    std::vector<float> normed(inner);
    squares.each(i, [&](std::size_t, std::size_t patch) {
      post_norm_.run(kernels, pass.x.data() + patch * inner, normed.data());
      kernels.add(normed.data(), inner, row);
    });
    kernels.train.scale(row, 1.0f / static_cast<float>(merge_ * merge_), inner);
    norm_.run(kernels, row, row);
  });
  VisionRows out{.values = std::vector<float>(squares.count() * width_), .shape = {.mutual = true}};
  const Gemm product{.rows = squares.count(),
                     .columns = width_,
                     .k = inner,
                     .a = pooled.data(),
                     .a_row = inner,
                     .b = projection_.data(),
                     .b_k = width_,
                     .c = out.values.data(),
                     .c_row = width_};
  multiply(*pass.team, kernels.train, {&product, 1});
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_gemma3(const ClipHeader& header, WeightList& list) {
  LATHE_TRY(const std::size_t merge, header.merge_or(4));
  if (header.image % header.patch != 0 || header.tile_patches() % merge != 0)
    return invalid("{}: clip.vision.image_size {} is no multiple of {} patches of {} pixels",
                   header.place(), header.image, merge, header.patch);
  return std::make_unique<Gemma3>(header, list, merge);
}

}  // namespace lathe::infer
