// The tests judge, and the discovery of the tests that fail before the first lap.
#pragma once

#include "loop/judges/judge.h"

namespace lathe::loop {

extern const JudgeKind kTestsJudge;

struct Discovery {
  std::vector<Unit> units;  // one per failing test that is not held out; empty: nothing to repair
  // {"tests": {"<name>": "pass" | "skip" | "fail"}}: what must run, as JudgeTask::discovered.
  Json discovered;
};

// `options`: the tests judge's, checked. Runs the tests on the clean tree.
Result<Discovery> discover_failing_tests(const Json& options, const JudgeContext& context);

}  // namespace lathe::loop
