// How far long work on a file has come: one line on standard error, rewritten in place. Nothing
// where standard error is no terminal. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "app/cli/app.h"

namespace lathe::app {

class WorkProgress {
 public:
  WorkProgress(const App& app, std::string what);
  ~WorkProgress();  // clears the line
  void update(std::uint64_t done, std::uint64_t total);

 private:
  std::string what_;
  bool show_;
  std::uint64_t last_percent_ = 101;
};

// What the work has to say when it is done.
void print_warnings(const App& app, std::span<const std::string> warnings);

}  // namespace lathe::app
