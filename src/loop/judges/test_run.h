// One run of a project's tests in a clean tree, in the sandbox.
#pragma once

#include <optional>

#include "ground/sys/sandbox.h"
#include "loop/judges/judge.h"
#include "loop/judges/machinery.h"
#include "loop/judges/test_reports.h"

namespace lathe::loop {

// The test that the command as a whole is, by its exit status: the only one with format "exit",
// with "any" beside those that its output names.
inline constexpr std::string_view kWholeCommand = "command";

struct TestRun {
  TreeBefore before;                  // the tree without the change
  std::vector<std::string> files;     // of the tree before anything ran in it
  bool built = true;                  // false: the build command failed, so the tests did not run
  std::string tampered;               // a protected file that did not stay as it was; "": none
  SandboxedExit last;                 // of the step that came last
  std::optional<TestReport> results;  // none: `no_results` says why
  std::string no_results;

  std::string output_tail() const;  // of the last step, bounded
};

// `options`: the tests judge's, checked. `changes`: laid over the clean tree, except for protected
// files. An error means that nothing can be said: no tree, no sandbox, a command that does not
// exist.
Result<TestRun> run_tests(const Json& options, const Changes& changes, const JudgeContext& context);

}  // namespace lathe::loop
