// Takes of a run that people have judged: in the terminal, or on the server's page.
#pragma once

#include "app/cli/app.h"
#include "loop/judges/calibration.h"

namespace lathe::app {

// Shows the run's takes one by one, without what its judges say, and keeps what is answered.
int label_run(const App& app, const std::string& run);

struct LabelledTake {
  loop::Label label;
  std::string media_type;
  loop::Unit unit;
};
// Errors: there is no label yet.
Result<std::vector<LabelledTake>> labelled_takes(const App& app, const std::string& run);

}  // namespace lathe::app
