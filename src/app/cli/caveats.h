// What a pass does not cover, as its judges say it: words that nobody could verify, a contrast that
// could not be told, a voice that changes. Pure.
#pragma once

#include "loop/conductor/state.h"

namespace lathe {

// Of the candidate that stands: "2 words not verified: guten, damen"; "": nothing.
std::string caveats_of(const Track& track);

// Of the run: " · 5 words not verified: …", one for each thing there is to say; "": nothing.
std::string run_caveats(const RunState& state);

}  // namespace lathe
