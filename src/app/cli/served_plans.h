// How far plans are and who is in the fleet, for the server's page: what `lathe fleet show` and
// `lathe fleet nodes` say. For whoever runs the server.
#pragma once

#include "app/cli/app.h"
#include "serve/server/call.h"

namespace lathe::app {

// The newest first.
serve::Handled list_of_plans(const App& app, const serve::Call& call);
// "fleet": where it has its database; null: this machine is of none. "own": whether it may ask who
// is in it.
serve::Handled list_of_nodes(const App& app, const serve::Call& call);

}  // namespace lathe::app
