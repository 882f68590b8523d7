// What waits for a person's consent, for the server's page: what `lathe consent` shows and does.
// For whoever runs the server.
#pragma once

#include "app/cli/app.h"
#include "serve/server/call.h"

namespace lathe::app {

serve::Handled list_of_consents(const App& app, const serve::Call& call);
serve::Handled consent_text(const App& app, const serve::Call& call);
serve::Handled decide_consent(const App& app, const serve::Call& call);

}  // namespace lathe::app
