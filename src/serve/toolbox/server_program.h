// The program of a tool server, in the sandbox: it sees the system, what its command names, and
// what a person gives it to read; it has a directory of its own to write in, no home, and no
// network unless its privacy says so.
#pragma once

#include "serve/toolbox/mcp_client.h"

namespace lathe::serve {

// What of the machine it may read besides the system: the directories of its program and of the
// files that its command names (those files alone where that would be the home or what it is in),
// its root and its read_only. Errors: what is not there.
Result<std::vector<std::filesystem::path>> readable_by(const ToolServer& server);

// `unsafe_none`: without the sandbox.
Result<std::unique_ptr<Wire>> start_server(const ToolServer& server, bool unsafe_none);

}  // namespace lathe::serve
