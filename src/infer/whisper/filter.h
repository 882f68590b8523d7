// What the next token of a Whisper transcript may be, and how likely each is. Pure.
#pragma once

#include <span>
#include <vector>

#include "infer/whisper/tokens.h"

namespace lathe::infer {

struct WhisperRules {
  bool times = true;             // timestamps between what is said
  double latest_first = 1.0;     // seconds: the first timestamp is no later
  double seconds_a_time = 0.02;  // a token of time
};

// logits (vocabulary) of the token behind `written`; `earliest` is the least token of time that may
// come. Afterwards they are log-probabilities, −inf for what may not come: control tokens, a
// beginning that says nothing, times that stand alone or run backwards; and text where all times
// together are more likely than any text.
void filter_next(const WhisperTokens& tokens, const WhisperRules& rules,
                 std::span<const WhisperTokens::Id> written, WhisperTokens::Id earliest,
                 std::span<float> logits);

// Natural logarithm of softmax, in place.
void log_softmax(std::span<float> logits);

// Of the last so many tokens, in nats: little of it is a text that goes in circles.
inline constexpr std::size_t kEntropyTokens = 32;
double entropy_of(std::span<const WhisperTokens::Id> tokens);

}  // namespace lathe::infer
