// Opens encoders of pictures and runs them, input by input.
#include "infer/encoders/picture_encoder.h"

namespace lathe::infer {
namespace {

// Of a canvas: no kind that is known comes near it.
constexpr std::int64_t kMostPixels = std::int64_t{1} << 25;

// An encoder whose header was read: its parts, and the weights they ask for.
struct Described {
  ClipHeader header;
  WeightList list;
  std::unique_ptr<VisionModel> model = nullptr;
  EncoderSizes sizes = {};
  EncoderBytes bytes = {};
};

Result<std::unique_ptr<Described>> describe(const Gguf& file, const KernelTable& kernels,
                                            int threads) {
  LATHE_TRY(const Projector* projector, find_projector(file));
  LATHE_TRY(ClipHeader header, read_clip_header(file));
  auto described = std::make_unique<Described>(std::move(header), WeightList(file));
  LATHE_TRY(described->model, projector->make(described->header, described->list));
  LATHE_TRY_STATUS(described->list.check("v.blk."));
  const VisionModel& model = *described->model;
  if (model.most_pixels() > kMostPixels)
    return invalid("{}: its pictures may have {} pixels; at most {} are possible",
                   file.path().string(), model.most_pixels(), kMostPixels);
  described->sizes =
      EncoderSizes::of(described->header, described->list, kernels, model.most_rows(), threads);
  const auto pixels = static_cast<std::uint64_t>(model.most_pixels());
  described->bytes.weights = described->list.bytes(kernels);
  // Beside the buffers: the canvas as bytes and numbers, an input's angles, its rows.
  described->bytes.scratch = EncoderPass::bytes_for(described->sizes) + pixels * 3 * 9 +
                             model.most_rows() * (described->header.width + model.width()) * 4;
  return described;
}

}  // namespace

Result<EncoderBytes> picture_encoder_bytes(const Gguf& file, const KernelTable& kernels,
                                           int threads) {
  LATHE_TRY(const auto described, describe(file, kernels, threads));
  return described->bytes;
}

Result<std::size_t> picture_row_width(const Gguf& file) {
  LATHE_TRY(const auto described, describe(file, best_kernel_table(), 1));
  return described->model->width();
}

Result<std::unique_ptr<PictureEncoder>> PictureEncoder::open(const Gguf& file, ThreadTeam& team,
                                                             const WeightLoading& loading) {
  LATHE_TRY(const auto described, describe(file, *loading.kernels, team.size()));
  std::unique_ptr<PictureEncoder> encoder(new PictureEncoder);
  LATHE_TRY(encoder->matrices_, described->list.load(team, loading));
  LATHE_TRY_STATUS(encoder->pass_.reserve(described->sizes));
  encoder->pass_.team = &team;
  encoder->pixels_ = described->header.pixels;
  encoder->model_ = std::move(described->model);
  encoder->bytes_ = described->bytes;
  return encoder;
}

Result<std::vector<EncodedPiece>> PictureEncoder::encode(
    const Picture& picture, const StopFlag* stop,
    const std::function<void(const PixelPlanes&)>& hear) {
  pass_.stop = stop;
  LATHE_TRY(const PicturePlan plan, model_->plan({picture.width, picture.height}));
  std::vector<EncodedPiece> pieces;
  const auto say = [&](const PicturePlan::Words& words) {
    if (!words.empty()) pieces.push_back({.words = words, .rows = nullptr});
  };
  std::size_t input = 0;
  for (const Canvas& canvas : plan.canvases) {
    const Picture laid = laid_on(canvas, picture);
    for (std::size_t i = 0; i < canvas.tiles(); ++i, ++input) {
      say(plan.before[input]);
      LATHE_TRY(EncodedPiece rows, encode_input(tile_of(canvas, laid, i), hear));
      pieces.push_back(std::move(rows));
    }
  }
  say(plan.after);
  return pieces;
}

Result<EncodedPiece> PictureEncoder::encode_input(
    const Picture& tile, const std::function<void(const PixelPlanes&)>& hear) {
  const PixelPlanes pixels = scaled_pixels(tile, pixels_);
  if (hear) hear(pixels);
  LATHE_TRY(VisionRows rows, model_->encode(pass_, pixels));
  EncodedPiece piece;
  LATHE_TRY(piece.rows, RowBlock::make(model_->width(), std::move(rows.values), rows.shape));
  return piece;
}

}  // namespace lathe::infer
