// The protocol over two streams: a message a line.
#pragma once

#include "serve/mcp/mcp_server.h"

namespace lathe::serve {

// Reads messages from `in` until it ends or `stop` is raised, and answers to `out`, to which nobody
// else may write. Calls that are under way then are ended.
Status serve_mcp(McpServer& server, int in, int out, const StopFlag& stop);

}  // namespace lathe::serve
