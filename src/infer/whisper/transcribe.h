// A sound of any length written down: half a minute after the other, each from where the last one's
// words ended (Radford et al. 2022, §4.5). A window that comes out doubtful, too uncertain or going
// in circles, is written again at a higher temperature. The same sound, options and seed give the
// same text.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "infer/whisper/filter.h"
#include "infer/whisper/model.h"

namespace lathe::infer {

struct TranscribeOptions {
  std::optional<std::size_t>
      language;            // index of whisper_languages(); nullopt: by the first window
  bool translate = false;  // to English
  bool times = true;       // segments; else a window is one
  bool words = false;      // when each was said
  std::vector<WhisperTokens::Id> prompt;  // as if it had been said before
  bool use_past = true;                   // what was written of the windows before is a prompt too
  double temperature = 0, temperature_step = 0.2;  // a step of 0: no second try
  std::size_t beams = 5;                           // sequences at temperature 0; 1: greedy
  std::size_t best_of = 5;                         // at higher ones
  double least_entropy = 2.4;                      // of the last 32 tokens, where there are as many
  double least_logprob = -1;                       // mean of a window's tokens
  double most_no_speech = 0.6;  // with a mean below that there is nothing to write
  std::uint64_t seed = 0;
  bool skip_silence = true;  // a window never begins in a stretch where nobody speaks (silence.h)
};

struct SpokenWord {
  std::string text;           // bytes of tokens, a blank before it included
  double start = 0, end = 0;  // seconds
};

struct TranscriptSegment {
  double start = 0, end = 0;  // seconds
  std::string text;           // bytes of tokens
  std::vector<WhisperTokens::Id> tokens;
  std::vector<float> logprobs;                              // of each
  double mean_logprob = 0, no_speech = 0, temperature = 0;  // of the window
  std::vector<SpokenWord> words = {};                       // where they were asked for
};

struct Transcript {
  std::optional<std::size_t> language;  // nullopt: the model knows English only
  std::vector<TranscriptSegment> segments;
};

// kCancelled: `stop` (may be null) was raised. `hear` (may be empty) is given each segment as it is
// done, and how many seconds of the sound are behind.
Result<Transcript> transcribe(WhisperModel& model, const WhisperTokens& tokens,
                              std::span<const std::int16_t> samples, ThreadTeam& team,
                              const TranscribeOptions& options, const StopFlag* stop,
                              const std::function<void(const TranscriptSegment*, double)>& hear);

}  // namespace lathe::infer
