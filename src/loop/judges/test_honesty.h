// Whether tests that pass speak of the code: nothing that a change adds may speak for them.
#pragma once

#include <string>
#include <vector>

#include "loop/judges/test_run.h"

namespace lathe::loop {

struct Doubt {
  std::string locus, claim, evidence;
  std::string identity;  // what makes it the same fault on the next lap
};

// A test that failed before the change and passes now.
struct Repaired {
  std::string name;
  bool held_out = false;  // is never named
};

// `run`: in which every test passed. `evidence` gets what was looked at. An error: the tests could
// not be run again.
Result<std::vector<Doubt>> doubts_about(const Json& options, const Changes& changes,
                                        const TestRun& run, const std::vector<Repaired>& repaired,
                                        const JudgeContext& context, Json& evidence);

}  // namespace lathe::loop
