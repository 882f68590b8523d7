// The page of this server: GET / for browsers, its files, and the session by which a browser is
// known. See docs/web.md.
#pragma once

#include <memory>
#include <vector>

#include "serve/server/routes.h"

namespace lathe::serve {

// Before the tables of the APIs, as `/` is Ollama's, too. Empty where the program was built without
// the page. `sessions`: those of the server's gate.
std::vector<RouteTable> web_routes(std::shared_ptr<Sessions> sessions);

}  // namespace lathe::serve
