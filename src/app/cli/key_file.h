// Where the keys of this machine's server are.
#pragma once

#include "app/cli/app.h"

namespace lathe::app {

fs::path keys_path(const App& app);

}  // namespace lathe::app
