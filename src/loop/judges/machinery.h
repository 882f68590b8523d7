// What a change adds that has no business in the code under test: the names of what runs and
// reports tests, the ends of processes, report texts, files that decide how tests run. Pure.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "loop/terms/terms.h"

namespace lathe::loop {

struct Machinery {
  std::string name;   // what a recipe allows it by: "os._exit"
  std::string locus;  // "src/money.py:12"
  std::string why;
  std::string line;  // as it stands there
};

struct TreeBefore {
  std::map<std::string, std::string> changed;  // the changed files as they were; new ones: none
  std::map<std::string, std::string> protected_files;  // the tests
  std::vector<std::string> files;                      // all of them
  std::string report;                                  // the report's path; "": none
};

// What `changes` adds to `before`; `allow`: names (globs) that this project may use. Only what is
// new counts: a name that the changed files used as often before is none.
std::vector<Machinery> machinery_added(const Changes& changes, const TreeBefore& before,
                                       std::span<const std::string> allow);

// A change that knows a test's input and its answer: "if text == '1,234.5': return 123450".
std::vector<Machinery> special_cases(const Changes& changes, const TreeBefore& before);

}  // namespace lathe::loop
