// What the tools of other agents stand on here: the journal, workers, and loops.
#pragma once

#include "app/cli/drive.h"
#include "app/cli/served_loops.h"
#include "app/tools/tools.h"
#include "serve/mcp/mcp_server.h"

namespace lathe::app {

// Which tools there are, and where.
struct ToolFlags {
  std::string root;                     // files below it may be read
  std::vector<std::string> tools = {};  // empty: all
};

// Tools, what they stand on, and the protocol before them.
class AgentDesk {
 public:
  // `app` and `flags` outlive it. `owner_key`: of the server that loops ask; "": none. Errors: no
  // such directory, no such tool.
  static Result<std::unique_ptr<AgentDesk>> open(const App& app, const DriveFlags& flags,
                                                 const ToolFlags& wanted, std::string owner_key);
  ~AgentDesk() {
    if (server_) server_->end();  // whoever else holds it
  }
  AgentDesk(const AgentDesk&) = delete;
  AgentDesk& operator=(const AgentDesk&) = delete;

  const std::shared_ptr<serve::McpServer>& server() const { return server_; }

 private:
  AgentDesk(const App& app, fs::path root, std::string owner_key)
      : loops_(app, std::move(owner_key), std::move(root)) {}

  ServedLoops loops_;
  Workshop workshop_;
  std::shared_ptr<serve::McpServer> server_;
};

}  // namespace lathe::app
