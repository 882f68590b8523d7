// Why a run has to wait on this machine: heat, the battery, a person who asks its server.
#pragma once

#include <set>

#include "app/cli/app.h"
#include "ground/sys/climate.h"
#include "loop/conductor/recipe.h"

namespace lathe::app {

// What is looked at.
struct Surroundings {
  Climate climate = {};
  bool person = false;  // has requests at the server here that are not background work
};

// Decides from one look to the next. A run that waits goes on when nothing has been in its way for
// a while, so that it does not come and go. Pure: the time is told.
class Hold {
 public:
  static constexpr Milliseconds kCalm{30'000};

  // In words; "": nothing is in the way.
  std::string why(const std::set<loop::PauseReason>& when, const Surroundings& now,
                  Milliseconds time);

 private:
  std::optional<Climate> before_;
  std::string why_;
  Milliseconds seen_{0};  // when it was last in the way
};

// Looks at this machine at most once a second. One thread.
std::function<std::string(const std::set<loop::PauseReason>&)> hold_here(const App& app);

}  // namespace lathe::app
