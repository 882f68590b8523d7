// How big a pool of models may be: what `serve`, `run` and loops share.
#pragma once

#include "app/cli/app.h"
#include "serve/pool/pool.h"

namespace lathe::app {

// --memory, or what the machine can spare with a reserve for the system.
Result<std::uint64_t> memory_for_models(const std::string& asked);
// What programs that serve models are started with: this program as their guard, its environment,
// and a directory of logs.
serve::ProgramPlaces program_places(const App& app);
// For models in the process of a command: all cores, all that can be spared, silent.
Result<serve::PoolOptions> local_pool_options(const App& app);

}  // namespace lathe::app
