// Pictures of requests: decoded, encoded, remembered.
#include "serve/pool/eyes.h"

#include <algorithm>

#include "ground/media/decoders.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kDecodeLimit{60'000};

std::uint64_t bytes_of(const SeenPicture& picture) {
  std::uint64_t bytes = 0;
  for (const infer::EncodedPiece& piece : picture)
    if (piece.rows) bytes += piece.rows->rows() * piece.rows->width() * sizeof(float);
  return bytes;
}

}  // namespace

Result<std::unique_ptr<infer::Gguf>> Eyes::open(const fs::path& file,
                                                const infer::Blueprint& model) {
  LATHE_TRY(infer::Gguf opened, infer::Gguf::open(file));
  LATHE_TRY(const std::size_t width, infer::picture_row_width(opened));
  if (width != model.row_width())
    return invalid(
        "{}: makes rows of {} numbers, and the model reads such of {}: it is the encoder of "
        "another model",
        file.string(), width, model.row_width());
  return std::make_unique<infer::Gguf>(std::move(opened));
}

Result<std::uint64_t> Eyes::bytes(const infer::Gguf& file, const infer::KernelTable& kernels,
                                  int threads) {
  LATHE_TRY(const infer::EncoderBytes bytes, infer::picture_encoder_bytes(file, kernels, threads));
  return bytes.weights + bytes.scratch + kRemembered;
}

Result<std::unique_ptr<Eyes>> Eyes::load(const infer::Gguf& file, fs::path program, int threads,
                                         const infer::WeightLoading& loading) {
  std::unique_ptr<Eyes> eyes(new Eyes(std::move(program), threads));
  LATHE_TRY(eyes->encoder_, infer::PictureEncoder::open(file, eyes->team_, loading));
  return eyes;
}

Result<Eyes::Sight> Eyes::see(const Media& picture, std::uint64_t owner, const StopFlag& stop) {
  const std::scoped_lock lock(mutex_);
  const std::string key = fmt::format("{} {}", owner, picture.sha256);
  const auto known = std::ranges::find(remembered_, key, &Remembered::key);
  if (known != remembered_.end()) {
    remembered_.splice(remembered_.begin(), remembered_, known);
    return Sight{.picture = known->picture};
  }
  LATHE_TRY(const Picture decoded,
            decode_picture_file(program_, *picture.bytes, kDecodeLimit, stop));
  LATHE_TRY(SeenPicture pieces, encoder_->encode(decoded, &stop));
  Sight sight{.picture = std::make_shared<const SeenPicture>(std::move(pieces)), .encoded = true};
  remember(key, sight.picture);
  return sight;
}

void Eyes::remember(const std::string& key, std::shared_ptr<const SeenPicture> picture) {
  const std::uint64_t bytes = bytes_of(*picture);
  if (bytes > kRemembered) return;
  remembered_.push_front({key, std::move(picture), bytes});
  remembered_bytes_ += bytes;
  while (remembered_bytes_ > kRemembered) {
    remembered_bytes_ -= remembered_.back().bytes;
    remembered_.pop_back();
  }
}

}  // namespace lathe::serve
