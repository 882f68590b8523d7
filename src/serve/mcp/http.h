// The protocol over HTTP: POST /mcp.
#pragma once

#include "serve/mcp/mcp_server.h"
#include "serve/server/routes.h"

namespace lathe::serve {

// For whoever runs the server: tools read files and run programs. `server` is kept by the routes.
RouteTable mcp_routes(std::shared_ptr<McpServer> server);

}  // namespace lathe::serve
