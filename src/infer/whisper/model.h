// Whisper (Radford et al. 2022): an encoder of half a minute of sound, and a decoder that writes
// what was said, token by token, looking at what the encoder made of it. One thread at a time, but
// for what the team is given; the same bits whatever its size, the instruction set, and what else
// is in a step.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "infer/encoders/whisper_encoder.h"

namespace lathe::infer {

struct WhisperSizes {
  std::size_t vocabulary = 0, bins = 0;
  std::size_t sound_rows = 0;  // that a window becomes; it has twice as many frames
  std::size_t width = 0, heads = 0, sound_layers = 0, text_layers = 0;
  std::size_t text_context = 0;  // tokens of a sequence, at most

  // An error names the key and what it may be.
  static Result<WhisperSizes> of(const Gguf& file);
};

struct WhisperBytes {
  std::uint64_t weights = 0;
  std::uint64_t scratch = 0;   // one sequence included
  std::uint64_t sequence = 0;  // each one more
};

class WhisperModel {
 public:
  static bool is_one(const Gguf& file);
  // By the header alone.
  static Result<WhisperBytes> bytes(const Gguf& file, const KernelTable& kernels, int threads);
  // The team must live as long.
  static Result<std::unique_ptr<WhisperModel>> open(const Gguf& file, ThreadTeam& team,
                                                    const WeightLoading& loading);

  const WhisperSizes& sizes() const { return sizes_; }
  const MelBank& mel() const { return mel_; }  // how it hears

  // mel (2 · sound_rows, bins). All sequences look at what it becomes, until the next one.
  Status encode(const MelFrames& mel, const StopFlag* stop);
  // (sound_rows, width), after the last norm.
  std::span<const float> sound() const { return sound_; }
  // Such rows from elsewhere in their place.
  Status look_at(std::span<const float> sound, const StopFlag* stop);
  // How much the decoder looks at each of the first `columns` rows of sound while it writes these
  // tokens behind each other: heads of the later half of its layers, which follow the words, each
  // smoothed and standardized (align.h), their mean → (tokens, columns).
  Result<std::vector<float>> gaze(std::span<const std::int32_t> tokens, std::size_t columns,
                                  const StopFlag* stop);

  // What was written so far, as keys and values of each layer.
  class Sequence {
   public:
    std::size_t size() const { return size_; }  // tokens

   private:
    friend class WhisperModel;
    std::vector<HeadMemory> layers_;
    std::size_t size_ = 0;
  };
  Result<Sequence> begin() const;
  void clear(Sequence& sequence) const { sequence.size_ = 0; }
  // `to` becomes what `from` is.
  void copy(const Sequence& from, Sequence& to) const;

  struct Row {
    Sequence* sequence = nullptr;
    std::int32_t token = 0;
    bool wanted = true;  // what comes next
  };
  static constexpr std::size_t kMostRows = kBlockRows;
  // Puts each row's token behind its sequence, which has room for it; rows of one sequence stand
  // one after the other. → logits (wanted rows, vocabulary), until the next step.
  Result<std::span<const float>> step(std::span<const Row> rows, const StopFlag* stop);

 private:
  struct Layer {
    NormLayer norm1, cross_norm, norm2;
    LinearLayer q, k, v, out;
    LinearLayer cross_q, cross_k, cross_v, cross_out;
    LinearLayer up, down;
    HeadMemory sound;  // keys and values of the rows of sound
  };
  WhisperModel(const WhisperSizes& sizes, const MelBank& mel, WeightList& list);
  void ask(WeightList& list, const std::string& name, Layer& layer) const;
  EncoderSizes pass_sizes(const KernelTable& kernels, int threads) const;
  Status look_at_sound(Layer& layer);
  void watch(const Layer& layer, std::size_t rows);
  void mix(std::size_t index, std::span<const Row> rows);
  void look(const Layer& layer, std::size_t rows);
  void feed(const Layer& layer, std::size_t rows);
  void norm_rows(const NormLayer& norm, std::size_t rows);
  void add(std::size_t rows);
  std::span<const float> logits_of(std::span<const Row> rows);

  WhisperSizes sizes_;
  MelBank mel_;
  WhisperEncoder encoder_;
  NormLayer sound_norm_, text_norm_;
  std::vector<Layer> layers_;
  LinearLayer words_;             // (vocabulary, width): what tokens are, and what comes next
  std::vector<float> positions_;  // (text_context, width)
  Pages matrices_;
  EncoderPass pass_;
  std::vector<float> sound_, logits_;
  // While gaze() runs: (tokens, columns), the sum over the heads that were watched.
  struct Gaze {
    std::vector<float> sum;
    std::size_t columns = 0, heads = 0;
  };
  Gaze* gaze_ = nullptr;
};

}  // namespace lathe::infer
