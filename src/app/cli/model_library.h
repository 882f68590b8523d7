// The models of this machine by name: what `pull` brought, and what other programs have.
#pragma once

#include "app/cli/app.h"
#include "serve/hub/library.h"

namespace lathe::app {

// Where models lie: ours in the configuration directory, others' where their settings say.
serve::LibraryPlaces library_places(const App& app);
// A file as it stands; else that of the model of this name here; else the text as it is, so that
// whoever opens it says what is wrong.
fs::path model_path(const App& app, const std::string& text);

}  // namespace lathe::app
