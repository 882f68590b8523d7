// What a maker is asked for one candidate of a lap. Pure: the same state gives the same prompt,
// whether the run is driven or its takes are learnt from.
#pragma once

#include "loop/conductor/state.h"

namespace lathe::loop {

// The best candidate so far, where the lap builds on it; null: it begins anew.
const CandidateState* built_on(const Track& track, const LapState& lap);

// `track` and `lap` may be of the state or made up; the track's units are the state's. `best`: the
// bytes of built_on(), or nothing. `prefix`: the maker's, of this run. The task points into
// `state`.
MakeTask make_task(const RunState& state, const Track& track, const LapState& lap, int n,
                   std::string prefix, std::optional<std::string> best,
                   std::string remembered = {});

}  // namespace lathe::loop
