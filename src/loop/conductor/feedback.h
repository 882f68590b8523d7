// What the next lap is told: the prompt is rebuilt from the state each time, never appended to.
// Pure.
#pragma once

#include "loop/conductor/state.h"

namespace lathe::loop {

// Whether a candidate of this type can stand in a prompt.
bool is_text_media(std::string_view media_type);

// The lap's own part of the prompt: the best candidate so far (`best`, when it is text that can be
// shown), the merged critiques, worst first and bounded, and at most five one-line fingerprints of
// what was tried and not taken. A fresh start gets the last of these only.
std::string feedback_tail(const Track& track, const LapState& lap,
                          const std::optional<std::string>& best);

}  // namespace lathe::loop
