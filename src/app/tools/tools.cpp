// The table of tools. To add one: a file, and a row here.
#include "app/tools/tool_list.h"

namespace lathe::app {

std::vector<serve::McpTool> agent_tools(const Workshop& workshop) {
  return {listen_tool(workshop), look_tool(workshop), test_tool(workshop), check_tool(workshop),
          loop_tool(workshop),   run_tool(workshop),  ask_tool(workshop)};
}

std::string_view tool_instructions() {
  return "Lathe judges what you made, on this machine, by running, hearing and seeing it. Ask for "
         "a "
         "verdict before you say that something is done: lathe_test for code, lathe_listen for "
         "speech, lathe_look for pictures and pages, lathe_check for texts and data. `outcome` is "
         "pass, fail, abstain or error; only pass is a pass, and an error means that nothing was "
         "judged. Each critique names the place and what was seen: repair that and ask again. "
         "lathe_loop does such work by itself with local models. Paths are below the directory "
         "that "
         "the server was started with. Every call is a run that a person can look at: `lathe show "
         "RUN`.";
}

}  // namespace lathe::app
