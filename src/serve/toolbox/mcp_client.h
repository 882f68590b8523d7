// The side of the Model Context Protocol that calls: one server, spoken with in messages, in
// revision 2026-07-28 or, where it knows none of that, by `initialize`. Whatever breaks the
// protocol ends the connection: a log on standard output, an answer that nobody asked for, a
// question of the server's own.
#pragma once

#include <memory>

#include "serve/rpc/message.h"
#include "serve/toolbox/definitions.h"

namespace lathe::serve {

// Messages to a server and back, each a line of JSON.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual Status say(std::string_view line, Milliseconds limit, const StopFlag& stop) = 0;
  // nullopt: none came in that time.
  virtual Result<std::optional<std::string>> hear(Milliseconds wait, const StopFlag& stop) = 0;
  // Whether the server can say that its tools are others now. If not, they are looked at before
  // every call.
  virtual bool tells_changes() const { return true; }
};

struct McpTimes {
  Milliseconds probe{5'000};   // until a server that does not know of discovery is asked otherwise
  Milliseconds begin{30'000};  // for each thing that is asked before the first call
};

// One thread at a time.
class McpClient {
 public:
  // Agrees on a revision and reads the list of tools. `version`: of this program.
  static Result<std::unique_ptr<McpClient>> open(std::unique_ptr<Wire> wire, std::string version,
                                                 const StopFlag& stop, const McpTimes& times = {});

  const std::vector<ToolDefinition>& tools() const { return tools_; }
  bool is_legacy() const { return legacy_; }
  // An error ends the connection. kToolsChanged: the tools are others than they were.
  Result<ToolAnswer> call(const std::string& tool, const Json& arguments, Milliseconds limit,
                          const StopFlag& stop);

 private:
  McpClient(std::unique_ptr<Wire> wire, std::string version, const McpTimes& times)
      : wire_(std::move(wire)), version_(std::move(version)), times_(times) {}

  Status agree(const StopFlag& stop);
  Status initialize(const StopFlag& stop);
  Result<std::vector<ToolDefinition>> list(const StopFlag& stop);
  Status check_unchanged(const StopFlag& stop);
  // What came until then is taken in; nobody waits for an answer.
  Status take_notes(const StopFlag& stop);
  // The answer to what was asked. Errors: none came, or the connection broke.
  Result<RpcResult<Json>> ask(std::string_view method, Json params, Milliseconds limit,
                              const StopFlag& stop);
  Status tell(const Json& message, const StopFlag& stop);
  // An answer to `waited` comes back; what else may come is dealt with.
  Result<std::optional<RpcResult<Json>>> take(const std::string& line, const Json& waited,
                                              const StopFlag& stop);
  std::unexpected<Error> broken(Error why);

  std::unique_ptr<Wire> wire_;
  const std::string version_;
  const McpTimes times_;
  std::vector<ToolDefinition> tools_;
  bool legacy_ = false;
  bool list_changed_ = false;
  std::int64_t next_id_ = 1;
  Json probe_, late_;  // the id of a discovery that is no more waited for, and what came of it
  std::optional<Error> broken_;
};

}  // namespace lathe::serve
