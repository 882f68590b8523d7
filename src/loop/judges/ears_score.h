// From what the ear heard and what the signal tells to a score with reasons. Pure: the thresholds
// and the arithmetic of the ears judge, without its processes.
#pragma once

#include "ground/media/sound_decode.h"
#include "loop/judges/ears_align.h"
#include "loop/judges/judge.h"
#include "loop/senses/signal_facts.h"
#include "loop/terms/terms.h"

namespace lathe::loop {

struct SignalLimits {
  int clip = 0;  // clipped runs that are let pass
  double silence_s = 0.6;
  double dropout_s = 0.25;
  double lufs_low = -32, lufs_high = -10;
  double peak_db = 0.5;  // dBTP
};
// What words_heard asks of the signal: only that nothing is broken. Level is audio_facts' business.
inline constexpr SignalLimits kWordsHeardLimits{
    .clip = 0, .silence_s = 1.0, .dropout_s = 0.15, .lufs_low = -50, .lufs_high = 0, .peak_db = 6};

struct Finding {
  double score = 0;  // in [0,1]
  Json evidence = Json::object();
  std::vector<Critique> critiques;
};

// What words_heard has to go by: the take, what the ear made of it, and how the line is written.
struct HeardTake {
  const Decoded& take;
  const SignalFacts& facts;
  const Hearing& hearing;
  std::vector<AlignedWord> words;
  std::vector<bool> pause_after;  // per expected word: punctuation lets the voice pause there
};
// `spoken`: the line as spoken_text() gives it. What the ear made of breath and noise around the
// speech is taken out of `hearing`.
HeardTake heard_take(const Decoded& take, const SignalFacts& facts, Hearing& hearing,
                     std::string_view spoken);

// Is the sound fit to be listened to? Cut ends, drop-outs, clipping, noise, level. `heard` (may be
// null) names the word that a fault falls on.
Finding score_signal(const Decoded& take, const SignalFacts& facts, const SignalLimits& limits,
                     const HeardTake* heard);

// Every word right, and said at a pace that people speak at.
Finding score_words(const HeardTake& heard);

// How many of each line's words were heard, taken together over the stretches of a narration.
struct Coverage {
  explicit Coverage(std::size_t lines) : words(lines, 0), heard(lines, 0) {}
  std::vector<std::int64_t> words, heard;  // per line
};
// `line_of[i]`: the line of expected word i.
void add_coverage(Coverage& coverage, const Hearing& hearing,
                  const std::vector<std::size_t>& line_of);
// Counts a line that was heard before, word by word, as words_heard's evidence has it; false where
// there is no such evidence, or it is of other words.
bool add_heard(Coverage& coverage, std::size_t line, const std::vector<std::string>& words,
               std::span<const Judgement> judgements);
Finding score_cover(const Coverage& coverage, const std::vector<std::string>& lines);

// Shows a take's words as they were heard.
std::vector<Exhibit> heard_words(Json& evidence);

}  // namespace lathe::loop
