// Opens encoders of sounds and runs them, input by input.
#include "infer/encoders/sound_encoder.h"

#include <optional>

#include "ground/media/sound.h"

namespace lathe::infer {
namespace {

// An encoder whose header was read: its parts, and the weights they ask for.
struct Described {
  WeightList list;
  std::unique_ptr<SoundModel> model = nullptr;
  EncoderSizes sizes = {};
  EncoderBytes bytes = {};
};

Result<std::unique_ptr<Described>> describe(const Gguf& file, const KernelTable& kernels,
                                            int threads) {
  LATHE_TRY(const SoundProjector* projector, find_sound_projector(file));
  LATHE_TRY(const SoundHeader header, read_sound_header(file));
  auto described = std::make_unique<Described>(WeightList(file));
  LATHE_TRY(described->model, projector->make(header, described->list));
  LATHE_TRY_STATUS(described->list.check("a.blk."));
  const SoundModel& model = *described->model;
  described->sizes = EncoderSizes::of(header, described->list, kernels, model.most_rows(), threads);
  described->bytes.weights = described->list.bytes(kernels);
  // Beside the buffers: an input's frames, its rows.
  described->bytes.scratch =
      EncoderPass::bytes_for(described->sizes) + model.scratch_bytes() +
      (model.most_frames() * header.bins + model.most_rows() * model.width()) * sizeof(float);
  return described;
}

}  // namespace

Result<EncoderBytes> sound_encoder_bytes(const Gguf& file, const KernelTable& kernels,
                                         int threads) {
  LATHE_TRY(const auto described, describe(file, kernels, threads));
  return described->bytes;
}

Result<std::size_t> sound_row_width(const Gguf& file) {
  LATHE_TRY(const auto described, describe(file, best_kernel_table(), 1));
  return described->model->width();
}

Result<std::unique_ptr<SoundEncoder>> SoundEncoder::open(const Gguf& file, ThreadTeam& team,
                                                         const WeightLoading& loading) {
  LATHE_TRY(const auto described, describe(file, *loading.kernels, team.size()));
  std::unique_ptr<SoundEncoder> encoder(new SoundEncoder(std::move(described->model)));
  LATHE_TRY(encoder->matrices_, described->list.load(team, loading));
  LATHE_TRY_STATUS(encoder->pass_.reserve(described->sizes));
  encoder->pass_.team = &team;
  encoder->bytes_ = described->bytes;
  return encoder;
}

Status SoundEncoder::encode(std::span<const std::int16_t> samples, const StopFlag* stop,
                            const Take& take, const Hear& hear) {
  pass_.stop = stop;
  const SoundPlan plan = model_->plan(samples.size());
  if (plan.inputs.empty())
    return invalid("the sound is too short for a row of embeddings: {} samples of {} a second",
                   samples.size(), kSoundRate);
  if (!plan.before.empty()) LATHE_TRY_STATUS(take({.words = plan.before, .rows = nullptr}));
  std::optional<MelReader> reader;
  const SoundPlan::Input* last = nullptr;
  for (const SoundPlan::Input& input : plan.inputs) {
    LATHE_TRY_STATUS(pass_.check_stop());
    if (last == nullptr || last->sample != input.sample || last->samples != input.samples)
      reader.emplace(samples.subspan(input.sample, input.samples), bank_, *pass_.team);
    last = &input;
    const MelFrames mel = reader->read(input.frame, input.frames);
    if (hear) hear(mel);
    LATHE_TRY(EncodedPiece piece, encode_input(mel));
    LATHE_TRY_STATUS(take(std::move(piece)));
  }
  if (plan.after.empty()) return {};
  return take({.words = plan.after, .rows = nullptr});
}

Result<std::vector<EncodedPiece>> SoundEncoder::encode(std::span<const std::int16_t> samples,
                                                       const StopFlag* stop, const Hear& hear) {
  std::vector<EncodedPiece> pieces;
  const auto keep = [&](EncodedPiece piece) {
    pieces.push_back(std::move(piece));
    return Status{};
  };
  LATHE_TRY_STATUS(encode(samples, stop, keep, hear));
  return pieces;
}

Result<EncodedPiece> SoundEncoder::encode_input(const MelFrames& mel) {
  LATHE_TRY(std::vector<float> rows, model_->encode(pass_, mel));
  EncodedPiece piece;
  LATHE_TRY(piece.rows, RowBlock::make(model_->width(), std::move(rows)));
  return piece;
}

}  // namespace lathe::infer
