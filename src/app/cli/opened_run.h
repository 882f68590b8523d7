// A run out of the journal, as the commands that look at one need it.
#pragma once

#include "app/cli/app.h"
#include "loop/conductor/state.h"
#include "loop/record/event.h"

namespace lathe::app {

struct OpenedRun {
  books::Journal journal;
  std::string id;
  std::vector<loop::Entry> entries;
  loop::RunState state;
};

// `name`: an id, the beginning of one, or "last".
Result<OpenedRun> open_run(const App& app, const std::string& name);

}  // namespace lathe::app
