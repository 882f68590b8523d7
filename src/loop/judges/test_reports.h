// Readers of what test runners print: results per test, by name. Pure; safe on any bytes, bounded
// in everything they keep.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ground/base/result.h"

namespace lathe::loop {

enum class TestOutcome { kPass, kSkip, kFail };  // from good to bad

struct TestResult {
  std::string name;
  TestOutcome outcome = TestOutcome::kPass;
  std::string text;  // what the runner said about it
};

// Names are unique: of results with one name the worst counts.
struct TestReport {
  std::vector<TestResult> tests;
};

inline constexpr std::string_view kTestFormats[] = {"auto", "junit", "tap",  "ctest", "pytest",
                                                    "go",   "cargo", "jest", "exit",  "any"};
inline constexpr std::size_t kMaxReportBytes = std::size_t{32} << 20;
inline constexpr std::size_t kMaxTests = 100'000;

// The format that `bytes` are in; "" when they look like none of those known.
std::string_view guess_test_format(std::string_view bytes);

// `format`: one of kTestFormats, but not "exit", which needs no report. "any" reads like "auto".
Result<TestReport> read_test_report(std::string_view format, std::string_view bytes);

}  // namespace lathe::loop
