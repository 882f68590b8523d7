// The parts of the clip judge that its tests use.
#pragma once

#include "loop/judges/clip_score.h"
#include "loop/judges/judge.h"

namespace lathe::loop {

extern const JudgeKind kClipJudge;

}  // namespace lathe::loop
