// The tools: one file each, or one for two that belong together.
#pragma once

#include "app/tools/tools.h"

namespace lathe::app {

serve::McpTool listen_tool(const Workshop& workshop);
serve::McpTool look_tool(const Workshop& workshop);
serve::McpTool test_tool(const Workshop& workshop);
serve::McpTool check_tool(const Workshop& workshop);
serve::McpTool loop_tool(const Workshop& workshop);
serve::McpTool run_tool(const Workshop& workshop);
serve::McpTool ask_tool(const Workshop& workshop);

}  // namespace lathe::app
