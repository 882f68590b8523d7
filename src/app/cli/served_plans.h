// How far plans are, for the server's page: what `lathe fleet show` says. For whoever runs the
// server.
#pragma once

#include "app/cli/app.h"
#include "serve/server/call.h"

namespace lathe::app {

// The newest first.
serve::Handled list_of_plans(const App& app, const serve::Call& call);

}  // namespace lathe::app
