// Where the readers of test reports put what they find.
#pragma once

#include <deque>
#include <string_view>
#include <unordered_map>

#include "loop/judges/test_reports.h"

namespace lathe::loop {

class TestCollector {
 public:
  // Returns the test for adding text; null when there are too many tests or the name is empty.
  TestResult* add(std::string_view name, TestOutcome outcome);
  static void add_text(TestResult* test, std::string_view text);
  bool too_many() const { return too_many_; }
  TestResult* find(std::string_view name);
  TestReport take();
  bool empty() const { return tests_.empty(); }

 private:
  std::deque<TestResult> tests_;  // readers keep pointers while others are added
  std::unordered_map<std::string, std::size_t> by_name_;
  bool too_many_ = false;
};

// In test_tap.cpp.
Status read_tap(std::string_view text, TestCollector& tests);
bool is_tap_line(std::string_view line);

// The runners' own text forms, in test_runners.cpp and test_packages.cpp.
void read_ctest(std::string_view text, TestCollector& tests);
void read_pytest(std::string_view text, TestCollector& tests);
void read_go(std::string_view text, TestCollector& tests);
bool is_go_line(std::string_view line);
void read_cargo(std::string_view text, TestCollector& tests);

}  // namespace lathe::loop
