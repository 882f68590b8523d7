// What a pass does not cover, as its judges say it: words that nobody could verify, a contrast that
// could not be told, a voice that changes. Pure.
#pragma once

#include "loop/conductor/state.h"

namespace lathe::show {

// Of the candidate that stands: "2 words not verified: guten, damen"; "": nothing.
std::string caveats_of(const loop::Track& track);

// Of the run: " · 5 words not verified: …", one for each thing there is to say; "": nothing.
std::string run_caveats(const loop::RunState& state);

}  // namespace lathe::show
