// The tools that other agents may call (`lathe mcp`): judges of what they made, whole loops, and
// models of this machine. Each call is a run in the journal; what could not be judged is an error,
// never a pass. Files are read below one root alone.
#pragma once

#include "books/journal/journal.h"
#include "loop/conductor/conductor.h"
#include "serve/mcp/tool.h"

namespace lathe::app {

// A loop that an agent asks for.
struct LoopOrder {
  std::string recipe;                             // a shipped one's name, or a path
  std::string input;                              // "": as the recipe says
  std::vector<std::pair<std::string, Json>> set;  // "make.best_of" → 4
};
// Who begins them, as their runs say it.
inline constexpr const char* kAgentLoops = "agent";

// What tools stand on; the command line gives it. Any thread.
struct Workshop {
  fs::path root;  // canonical
  std::function<Result<books::Journal>()> journal;
  // Does the work with a bench of its own.
  std::function<Status(StopFlag& stop, loop::Observer* observer,
                       const std::function<Status(const loop::Bench& bench)>& work)>
      with_bench;
  // A model that is asked where none is named.
  std::function<Result<std::string>()> usual_model;
  // The run's id; it goes on by itself, and leaves its results in a directory below the root.
  std::function<Result<std::string>(const LoopOrder& order)> start_loop;
  std::function<bool(const std::string& run)> loop_goes_on;  // a loop of start_loop's
  // Ends it as Ctrl-C would. Nothing happens where it is over.
  std::function<Status(const std::string& run)> stop_loop;
};

// In the order in which clients list them.
std::vector<serve::McpTool> agent_tools(const Workshop& workshop);
serve::McpTasks agent_tasks(const Workshop& workshop);
// For the model that calls them.
std::string_view tool_instructions();

}  // namespace lathe::app
