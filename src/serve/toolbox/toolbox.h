// Tools of other programs, as models get to call them: the servers are started and asked, what a
// person has not allowed is not there, arguments that break a tool's schema do not reach it, and
// before a call a person is asked where they want to be.
#pragma once

#include <functional>
#include <span>

#include "ground/schema/json_schema.h"
#include "serve/toolbox/mcp_client.h"

namespace lathe::serve {

// What a person is asked before a call.
struct ToolQuestion {
  const ToolServer& server;
  std::string definitions;  // the hash of what the server says of its tools
  std::string tool;         // by the server's own name
  std::string arguments;
};

struct ToolboxOptions {
  std::function<Result<std::unique_ptr<Wire>>(const ToolServer& server)> connect;
  // Whether the call is allowed; false: the model is told so. An error ends the work: nobody can be
  // asked.
  std::function<Result<bool>(const ToolQuestion& question, const StopFlag& stop)> may_call;
  std::string version;  // of this program
  McpTimes times = {};
};

class Toolbox final : public ForeignTools {
 public:
  // Errors name the server: it cannot be started, breaks the protocol, or lacks a tool that is
  // allowed. `servers` are checked, and have each a name of their own.
  static Result<std::unique_ptr<Toolbox>> open(std::span<const ToolServer> servers,
                                               ToolboxOptions options, const StopFlag& stop);

  std::vector<Tool> tools() const override;
  bool reads_only(const std::string& tool) const override;
  std::map<std::string, std::string> definitions() const override;
  Status unchanged(const std::map<std::string, std::string>& definitions) const override;
  Result<ToolAnswer> make_call(const FunctionCall& call, const std::function<Status()>& about_to,
                               const StopFlag& stop) override;

  // The questions that calls of all its tools would lead to, without arguments.
  std::vector<ToolQuestion> questions() const;
  // Tools that no model can be shown, and why.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  struct Server {
    ToolServer spec;
    std::unique_ptr<McpClient> client;
    std::string definitions, hash;
  };
  struct Entry {
    std::size_t server = 0;
    std::string name;  // the server's own
    bool reads_only = false;
    Tool offered;
    JsonSchema schema;
  };

  explicit Toolbox(ToolboxOptions options) : options_(std::move(options)) {}
  Status add(const ToolServer& spec, const StopFlag& stop);
  const Entry* find(const std::string& tool) const;
  ToolQuestion question_of(const Entry& entry, std::string arguments) const;

  const ToolboxOptions options_;
  std::vector<Server> servers_;
  std::vector<Entry> entries_;
  std::vector<std::string> left_out_;
};

}  // namespace lathe::serve
