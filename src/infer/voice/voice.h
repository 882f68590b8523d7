// A voice: texts become sound. A talker (a language model whose tokens end in codes of sound) reads
// the text and who speaks, and gives the first code of each frame until it says that it is done; a
// predictor gives the frame's other codes; a decoder makes samples of them, piece by piece. Two
// GGUF files: the talker, and the rest (mmproj-….gguf). The same text, wish and seed give the same
// samples on every instruction set and any number of threads. One thread at a time.
#pragma once

#include "infer/cpu/cpu_executor.h"
#include "infer/engine/sampler.h"
#include "infer/voice/code_predictor.h"
#include "infer/voice/speaker_encoder.h"
#include "infer/voice/voice_prompt.h"
#include "infer/voice/wave_decoder.h"

namespace lathe::infer {

struct VoiceWish {
  std::string language;        // "english"; "": the talker finds out
  std::vector<float> speaker;  // of Voice::speaker(); empty: whoever the talker takes
  float temperature = 0.9F;    // of all codes; 0: the likeliest ones
  std::int32_t top_k = 50;
  std::uint64_t seed = 0;
  std::size_t most_frames = 8192;  // eleven minutes
};

struct SpokenText {
  std::size_t frames = 0;
  bool ended = false;  // by the talker; else the frames were used up
};

// What a voice takes of the memory.
struct VoiceBytes {
  DeviceBytes weights, scratch;
  DeviceBytes talk;  // what the longest text and its frames are to the talker, while it speaks
};

class Voice {
 public:
  // By the headers alone.
  static Result<VoiceBytes> bytes(const Gguf& talker, const Gguf& rest, const KernelTable& kernels,
                                  int threads);
  // The team must live as long.
  static Result<std::unique_ptr<Voice>> open(const Gguf& talker, const Gguf& rest, ThreadTeam& team,
                                             const WeightLoading& loading);

  std::vector<std::string> languages() const { return prompt_.languages(); }
  // Whose voice it is to be, from a recording: 24 kHz, mono.
  Result<std::vector<float>> speaker(std::span<const std::int16_t> samples, const StopFlag* stop);

  // 24 kHz, mono; a second or less each time.
  using TakeSamples = std::function<Status(std::span<const std::int16_t>)>;
  // `take` is given the samples as they come; what it fails with ends this. kCancelled: `stop` (may
  // be null) was raised.
  Result<SpokenText> speak(std::string_view text, const VoiceWish& wish, const StopFlag* stop,
                           const TakeSamples& take);

 private:
  class Talk;
  // The parts of the second file, with what they read.
  struct Parts;
  explicit Voice(VoicePrompt prompt) : prompt_(std::move(prompt)) {}
  Status load_rest(Parts& parts, ThreadTeam& team, const WeightLoading& loading);
  std::vector<float> embed(std::span<const PromptRow> rows, const VoiceWish& wish) const;
  std::vector<Sampler> samplers(const VoiceWish& wish, std::size_t frames) const;
  std::vector<std::uint32_t> first_codes() const;

  VoicePrompt prompt_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<CpuExecutor> executor_;
  std::unique_ptr<CodePredictor> predictor_;
  std::unique_ptr<WaveDecoder> decoder_;
  std::unique_ptr<SpeakerEncoder> speakers_;  // null: the file has none
  std::vector<Pages> matrices_;
};

}  // namespace lathe::infer
