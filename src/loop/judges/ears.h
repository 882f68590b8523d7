// The parts of the ears judge that its tests and the measuring bench call directly.
#pragma once

#include "loop/judges/ears_score.h"
#include "loop/judges/judge.h"
#include "loop/senses/media_pool.h"

namespace lathe::loop {

extern const JudgeKind kEarsJudge;

// The lines around unit `index` whose words the ear is given as a prior, as spoken words: blocks of
// a fixed size, so that a long script costs no more per take than a short one and neighbours share
// a prepared ear.
std::vector<std::vector<std::string>> script_block(std::span<const Unit> units, std::size_t index);

// What words_heard concludes from one take. `spoken`: the line, as spoken_text() gives it.
Finding judge_words(const Decoded& take, Hearing hearing, std::string_view spoken,
                    const SignalLimits& limits);

}  // namespace lathe::loop
