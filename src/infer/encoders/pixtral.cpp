// Pixtral and Mistral 3: pictures of any shape, rotary positions, squares of patches that become
// one row, and a learned row at the end of each line of rows but the last.
#include "infer/encoders/vision_model.h"

namespace lathe::infer {
namespace {

constexpr int kLeastTokens = 8, kMostTokens = 1024;  // of a picture
constexpr double kRopeBase = 10000;

class Pixtral final : public VisionModel {
 public:
  Pixtral(const ClipHeader& header, WeightList& list, std::size_t merge, bool has_merger);
  std::size_t width() const override { return width_; }
  std::size_t most_rows() const override { return kMostTokens * merge_ * merge_; }
  std::int64_t most_pixels() const override { return limits().most; }
  Result<PicturePlan> plan(PictureSize picture) const override {
    LATHE_TRY(const Canvas canvas, fitted_canvas(picture, limits()));
    return single_input(canvas, {}, {"[IMG_END]"});
  }
  Result<VisionRows> encode(EncoderPass& pass, const PixelPlanes& pixels) const override;

 private:
  AreaLimits limits() const {
    const auto unit = static_cast<int>(header_.patch * merge_);
    return {unit, std::int64_t{kLeastTokens} * unit * unit,
            std::int64_t{kMostTokens} * unit * unit};
  }
  std::vector<float> merged(EncoderPass& pass, const Merged& squares) const;

  ClipHeader header_;
  std::size_t merge_;
  bool has_merger_;
  PatchEmbedding embedding_;
  NormLayer pre_norm_;
  Vit vit_;
  NormLayer merger_norm_;
  LinearLayer merger_;
  std::size_t width_;
  Mlp mlp_;
  std::vector<float> line_end_;
};

Pixtral::Pixtral(const ClipHeader& header, WeightList& list, std::size_t merge, bool has_merger)
    : header_(header),
      merge_(merge),
      has_merger_(has_merger),
      embedding_(list, header),
      vit_(list, "v", VitSpec::of(header, EncoderNorm::kRms)),
      width_(list.dimension("mm.2.weight", 1)) {
  const std::size_t inner = header.width;
  pre_norm_.ask(list, "v.pre_ln", inner, EncoderNorm::kRms, header.epsilon);
  if (has_merger) {
    merger_norm_.ask(list, "mm.input_norm", inner, EncoderNorm::kRms, header.epsilon);
    merger_.ask(list, "mm.patch_merger", merge * merge * inner, inner);
  }
  mlp_.ask(list, "mm.1", "mm.2", inner, list.dimension("mm.1.weight", 1), width_);
  list.numbers("v.token_embd.img_break", width_, &line_end_);
}

// A row of the encoder's width for each square: colour channel by channel, its patches.
std::vector<float> Pixtral::merged(EncoderPass& pass, const Merged& squares) const {
  const std::size_t inner = header_.width, square = merge_ * merge_;
  std::vector<float> rows(squares.count() * inner);
  if (!has_merger_) {
    std::copy_n(pass.x.data(), rows.size(), rows.data());
    return rows;
  }
  run_linear(
      pass, merger_, squares.count(),
      [&](std::size_t i, float* row) {
        std::vector<float> normed(inner);
        squares.each(i, [&](std::size_t place, std::size_t patch) {
          merger_norm_.run(pass.kernels(), pass.x.data() + patch * inner, normed.data());
          for (std::size_t c = 0; c < inner; ++c) row[c * square + place] = normed[c];
        });
      },
      rows.data(), inner);
  return rows;
}

Result<VisionRows> Pixtral::encode(EncoderPass& pass, const PixelPlanes& pixels) const {
  const KernelTable& kernels = pass.kernels();
  const PatchGrid grid = PatchGrid::of(pixels.size, header_.patch);
  const std::vector<Patch> patches = in_rows(grid);
  const std::size_t inner = header_.width, head = header_.head_dim(), half = head / 4;
  embedding_.run(pass, pixels, patches);
  pass.team->run(patches.size(), [&](std::size_t i, int) {
    float* row = pass.x.data() + i * inner;
    pre_norm_.run(kernels, row, row);
  });
  // Of the frequencies of one long row of positions, rows take the even ones, columns the odd ones.
  const std::vector<double> turns = rotary_frequencies(kRopeBase, head / 2, head);
  const Rotation rotation =
      rotation_of(patches, head, 1, false, [&](const Patch& patch, std::size_t i) {
        return i < half ? static_cast<double>(patch.row) * turns[2 * i]
                        : static_cast<double>(patch.column) * turns[2 * (i - half) + 1];
      });
  LATHE_TRY_STATUS(vit_.run(pass, patches.size(), &rotation));

  const Merged squares{grid, merge_};
  const std::vector<float> rows = merged(pass, squares);
  std::vector<float> plain(squares.count() * width_);
  mlp_.run(
      pass, squares.count(),
      [&](std::size_t i, float* row) { std::copy_n(rows.data() + i * inner, inner, row); },
      plain.data(), width_);
  VisionRows out;
  const std::size_t line = squares.columns() * width_;
  for (std::size_t y = 0; y < squares.rows(); ++y) {
    if (y != 0) out.values.insert(out.values.end(), line_end_.begin(), line_end_.end());
    out.values.insert(out.values.end(), plain.data() + y * line, plain.data() + (y + 1) * line);
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<VisionModel>> make_pixtral(const ClipHeader& header, WeightList& list) {
  LATHE_TRY_STATUS(header.check_rotary_heads());
  LATHE_TRY(const std::size_t merge, header.merge_or(1));
  const bool has_merger = list.has("mm.patch_merger.weight");
  if (merge != 1 && !has_merger)
    return invalid(
        "{}: clip.vision.spatial_merge_size is {}, and mm.patch_merger.weight is missing",
        header.place(), merge);
  return std::make_unique<Pixtral>(header, list, merge, has_merger);
}

}  // namespace lathe::infer
