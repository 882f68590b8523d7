// A kind of sound encoder, as its projector is called: one row of the table each. It says how a
// sound becomes inputs of the encoder, what stands around them in a prompt, and what rows of the
// model an input becomes.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "infer/encoders/encoded_piece.h"
#include "infer/encoders/layers.h"
#include "infer/encoders/mel.h"

namespace lathe::infer {

// How a sound goes into an encoder. Pure: it depends on the number of samples alone.
struct SoundPlan {
  // Frames [frame, frame + frames) of those that samples [sample, sample + samples) have. Behind
  // the last of them stand zeros.
  struct Input {
    std::size_t sample = 0, samples = 0;
    std::size_t frame = 0, frames = 0;
    bool operator==(const Input&) const = default;
  };
  std::vector<Input> inputs;  // none: the sound is too short
  PromptWords before, after;  // all of them
};

class SoundModel {
 public:
  virtual ~SoundModel() = default;
  // Of a row.
  virtual std::size_t width() const = 0;
  // Rows of an input inside the encoder, at most.
  virtual std::size_t most_rows() const = 0;
  virtual std::size_t most_frames() const = 0;  // of an input
  // What encode() takes beside its pass, at most.
  virtual std::uint64_t scratch_bytes() const = 0;
  virtual MelSpec mel() const = 0;
  virtual SoundPlan plan(std::size_t samples) const = 0;
  // (rows, width)
  virtual Result<std::vector<float>> encode(EncoderPass& pass, const MelFrames& mel) const = 0;
};

struct SoundProjector {
  std::string_view name;    // as clip.audio.projector_type or clip.projector_type has it
  std::string_view models;  // that come with it
  Result<std::unique_ptr<SoundModel>> (*make)(const SoundHeader& header, WeightList& list);
};
std::span<const SoundProjector> sound_projectors();
// The error names those there are.
Result<const SoundProjector*> find_sound_projector(const Gguf& file);

Result<std::unique_ptr<SoundModel>> make_qwen2_audio(const SoundHeader& header, WeightList& list);
Result<std::unique_ptr<SoundModel>> make_ultravox(const SoundHeader& header, WeightList& list);
Result<std::unique_ptr<SoundModel>> make_voxtral(const SoundHeader& header, WeightList& list);
Result<std::unique_ptr<SoundModel>> make_qwen3_audio(const SoundHeader& header, WeightList& list);
Result<std::unique_ptr<SoundModel>> make_gemma4_audio(const SoundHeader& header, WeightList& list);

}  // namespace lathe::infer
