// Pictures and sounds of requests: decoded, encoded, remembered.
#include "serve/pool/senses.h"

#include <algorithm>

#include "ground/media/decoders.h"

namespace lathe::serve {
namespace {

constexpr Milliseconds kDecodeLimit{60'000};

std::uint64_t bytes_of(const Percept& percept) {
  std::uint64_t bytes = 0;
  for (const infer::EncodedPiece& piece : percept)
    if (piece.rows) bytes += piece.rows->rows() * piece.rows->width() * sizeof(float);
  return bytes;
}

Status check_width(const fs::path& file, std::size_t width, const infer::Blueprint& model) {
  if (width == model.row_width()) return {};
  return invalid(
      "{}: makes rows of {} numbers, and the model reads such of {}: it is the encoder of another "
      "model",
      file.string(), width, model.row_width());
}

}  // namespace

Result<std::unique_ptr<SensesFile>> Senses::open(const fs::path& file,
                                                 const infer::Blueprint& model) {
  LATHE_TRY(infer::Gguf opened, infer::Gguf::open(file));
  LATHE_TRY(const bool hears, has_encoder(opened, infer::kAudioPart));
  LATHE_TRY(const bool sees, has_encoder(opened, infer::kVisionPart));
  // One that says of neither is asked for pictures, and tells what is wrong.
  if (sees || !hears) {
    LATHE_TRY(const std::size_t width, infer::picture_row_width(opened));
    LATHE_TRY_STATUS(check_width(file, width, model));
  }
  if (hears) {
    LATHE_TRY(const std::size_t width, infer::sound_row_width(opened));
    LATHE_TRY_STATUS(check_width(file, width, model));
  }
  return std::make_unique<SensesFile>(
      SensesFile{.file = std::move(opened), .sees = sees || !hears, .hears = hears});
}

Result<std::uint64_t> Senses::bytes(const SensesFile& file, const infer::KernelTable& kernels,
                                    int threads) {
  std::uint64_t all = kRemembered;
  if (file.sees) {
    LATHE_TRY(const auto bytes, infer::picture_encoder_bytes(file.file, kernels, threads));
    all += bytes.weights + bytes.scratch;
  }
  if (file.hears) {
    LATHE_TRY(const auto bytes, infer::sound_encoder_bytes(file.file, kernels, threads));
    all += bytes.weights + bytes.scratch;
  }
  return all;
}

Result<std::unique_ptr<Senses>> Senses::load(const SensesFile& file, fs::path program, int threads,
                                             const infer::WeightLoading& loading) {
  std::unique_ptr<Senses> senses(new Senses(std::move(program), threads));
  infer::ThreadTeam& team = senses->team_;
  if (file.sees) {
    LATHE_TRY(senses->pictures_, infer::PictureEncoder::open(file.file, team, loading));
  }
  if (file.hears) {
    LATHE_TRY(senses->sounds_, infer::SoundEncoder::open(file.file, team, loading));
  }
  return senses;
}

Result<Senses::Perception> Senses::perceive(const Media& media, std::uint64_t owner,
                                            const StopFlag& stop) {
  const std::scoped_lock lock(mutex_);
  const std::string key = fmt::format("{} {}", owner, media.sha256);
  const auto known = std::ranges::find(remembered_, key, &Remembered::key);
  if (known != remembered_.end()) {
    remembered_.splice(remembered_.begin(), remembered_, known);
    return Perception{.percept = known->percept};
  }
  LATHE_TRY(Percept pieces, encode(media, stop));
  Perception perceived{.percept = std::make_shared<const Percept>(std::move(pieces)),
                       .encoded = true};
  remember(key, perceived.percept);
  return perceived;
}

Result<Percept> Senses::encode(const Media& media, const StopFlag& stop) {
  if (media.kind == Media::Kind::kPicture) {
    LATHE_CHECK(pictures_ != nullptr);
    LATHE_TRY(const Picture picture,
              decode_picture_file(program_, *media.bytes, kDecodeLimit, stop));
    return pictures_->encode(picture, &stop);
  }
  LATHE_CHECK(sounds_ != nullptr);
  LATHE_TRY(const Decoded decoded, decode_sound_file(program_, *media.bytes, kDecodeLimit, stop));
  return sounds_->encode(decoded.sound.samples, &stop);
}

void Senses::remember(const std::string& key, std::shared_ptr<const Percept> percept) {
  const std::uint64_t bytes = bytes_of(*percept);
  if (bytes > kRemembered) return;
  remembered_.push_front({key, std::move(percept), bytes});
  remembered_bytes_ += bytes;
  while (remembered_bytes_ > kRemembered) {
    remembered_bytes_ -= remembered_.back().bytes;
    remembered_.pop_back();
  }
}

}  // namespace lathe::serve
