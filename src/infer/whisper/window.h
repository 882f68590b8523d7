// One window of a transcript: what the decoder writes of the half minute that the model has
// encoded.
#pragma once

#include <random>

#include "infer/whisper/transcribe.h"

namespace lathe::infer {

inline constexpr std::size_t kLeastFrames = 10;  // of sound that are worth a window

struct WhisperWindow {
  std::vector<WhisperTokens::Id> tokens;
  std::vector<float> logprobs;
  std::size_t frames = 0;  // of the window that they cover: the next one begins there
  double score = 0;        // mean log-probability
  double no_speech = 0;
  bool failed = false;  // too short, backwards or going in circles
};

// `prompt` ends with the tokens that say what is to be written; `left`: frames up to the end of the
// sound.
class WindowDecoder {
 public:
  WindowDecoder(WhisperModel& model, const WhisperTokens& tokens, const TranscribeOptions& options);
  Result<WhisperWindow> run(std::span<const WhisperTokens::Id> prompt, std::size_t left,
                            double temperature, std::mt19937_64& random, const StopFlag* stop);

 private:
  using Id = WhisperTokens::Id;
  struct Written {
    std::vector<Id> tokens = {};
    std::vector<float> logprobs = {};
    double sum = 0;            // of them
    std::size_t complete = 0;  // tokens up to the last time
    std::size_t frames = 0;    // the last time, in frames; none yet: all of the window's
    bool timed = false, done = false, failed = false;

    bool goes_on() const { return !done && !failed; }
  };
  struct Beam {
    WhisperModel::Sequence sequence = {}, other = {};
    Written written = {}, next = {};
    std::size_t from = 0;            // that `next` goes on from
    std::vector<float> logits = {};  // behind what is written
  };
  struct Choice {
    std::size_t beam = 0;
    Id token = 0;
    float logprob = 0;
    double sum = 0;  // with what was written before
  };

  std::span<Beam> beams() { return std::span(beams_).first(count_); }
  Status begin(std::span<const Id> prompt, const StopFlag* stop);
  Status write(const StopFlag* stop);
  void filter(Beam& beam, double temperature) const;
  void draw(Beam& beam, double temperature, std::mt19937_64& random) const;
  void search();
  void follow();
  void take(Written& written, Id token, float logprob) const;
  void check(Written& written, std::size_t step, std::size_t left) const;
  WhisperWindow best(double no_speech) const;

  WhisperModel& model_;
  const WhisperTokens& tokens_;
  const TranscribeOptions& options_;
  WhisperRules rules_;
  std::vector<Beam> beams_;
  std::size_t count_ = 1;  // beams in use
};

}  // namespace lathe::infer
