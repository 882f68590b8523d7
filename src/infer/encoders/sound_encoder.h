// An encoder of sounds: a sound becomes what a prompt holds in its place, words and rows of
// embeddings as wide as the model reads them. Its file is an "mmproj" GGUF, as pictures' are, often
// the same one; sound_projectors() lists the kinds that run. One thread at a time.
#pragma once

#include <functional>
#include <memory>

#include "infer/encoders/sound_model.h"

namespace lathe::infer {

// By its header alone.
Result<EncoderBytes> sound_encoder_bytes(const Gguf& file, const KernelTable& kernels, int threads);
Result<std::size_t> sound_row_width(const Gguf& file);

class SoundEncoder {
 public:
  // Checks the header and loads the weights. The team must live as long.
  static Result<std::unique_ptr<SoundEncoder>> open(const Gguf& file, ThreadTeam& team,
                                                    const WeightLoading& loading);

  std::size_t width() const { return model_->width(); }  // of a row
  const EncoderBytes& bytes() const { return bytes_; }

  // What a sound of so many samples will be: which inputs, which words.
  SoundPlan plan(std::size_t samples) const { return model_->plan(samples); }
  using Take = std::function<Status(EncodedPiece)>;
  using Hear = std::function<void(const MelFrames&)>;
  // samples: 16 kHz mono (ground/media/sound.h). `take` is given the pieces in their order, each as
  // soon as it is there, so that memory does not grow with the sound; what it fails with ends this.
  // `hear` (may be empty) is given what goes into the encoder, input by input. kInvalid: too short
  // a sound. kCancelled: `stop` (may be null) was raised.
  Status encode(std::span<const std::int16_t> samples, const StopFlag* stop, const Take& take,
                const Hear& hear = {});
  // All pieces at once.
  Result<std::vector<EncodedPiece>> encode(std::span<const std::int16_t> samples,
                                           const StopFlag* stop, const Hear& hear = {});

 private:
  explicit SoundEncoder(std::unique_ptr<SoundModel> model)
      : model_(std::move(model)), bank_(model_->mel()) {}
  Result<EncodedPiece> encode_input(const MelFrames& mel);

  std::unique_ptr<SoundModel> model_;
  MelBank bank_;
  Pages matrices_;
  EncoderPass pass_;
  EncoderBytes bytes_;
};

}  // namespace lathe::infer
