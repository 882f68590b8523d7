// Tools of others at the command line: their servers are started, confined, or spoken with at their
// URLs, and a person is asked before calls: here at the terminal, or elsewhere by `lathe
// approvals`. The table of what was decided is CONFIG/approvals.json.
#pragma once

#include <mutex>
#include <set>

#include "app/cli/app.h"
#include "books/approvals/approvals.h"
#include "serve/net/http_call.h"
#include "serve/toolbox/toolbox.h"

namespace lathe::app {

books::Approvals approvals_of(const App& app);
// "query of the server 'db' (db-server --stdio), without a network"; "… (http://…), at most lan"
std::string approval_words(const books::Approval& approval);

// Any thread.
class ToolDesk {
 public:
  struct Options {
    bool unsafe_no_sandbox = false;
    Reach most = Reach::kLocal;  // --allow
    // Keeps everybody else from the terminal while `work` asks.
    std::function<void(const std::function<void()>& work)> alone =
        [](const std::function<void()>& work) { work(); };
    serve::ConsentGate consent = {};  // of what goes to a server in a cloud
  };
  ToolDesk(const App& app, Options options) : app_(app), options_(std::move(options)) {}
  ToolDesk(const ToolDesk&) = delete;
  ToolDesk& operator=(const ToolDesk&) = delete;

  Result<std::unique_ptr<serve::Toolbox>> open(std::span<const ToolServer> servers,
                                               const StopFlag& stop);
  // Asks now for what would be asked before a first call. An error: nobody is here to be asked.
  Status settle(const serve::Toolbox& toolbox, const StopFlag& stop);

 private:
  enum class Answer { kNo, kYes, kAlways };

  Result<std::unique_ptr<serve::Wire>> connect(const ToolServer& server) const;
  Result<bool> may_call(const serve::ToolQuestion& question, const StopFlag& stop);
  Result<Answer> ask(const serve::ToolQuestion& question, const StopFlag& stop);
  bool has_person() const;

  const App& app_;
  const Options options_;
  std::mutex mutex_;                 // guards what follows, and the person
  std::set<std::string> this_time_;  // approvals by their ids, for as long as this process runs
};

// --mcp and what goes with it.
struct ToolFlagsOfRun {
  std::vector<std::string> commands;
  std::string root, ask = "first", token_env, token_file;
  bool network = false;
};
void add_run_tool_flags(CLI::App& command, ToolFlagsOfRun& flags);
// "NAME=COMMAND …" or "COMMAND …": words as a shell splits them, files by their whole paths; or
// "NAME=URL", "URL".
Result<std::vector<ToolServer>> tool_servers(const ToolFlagsOfRun& flags);

}  // namespace lathe::app
