// A tool that other programs may call: what the protocol says of it, and the work.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "ground/base/stop.h"

namespace lathe::serve {

// Work that goes on after its call was answered. `id`: the same for as long as it is known.
struct McpTask {
  enum class State { kWorking, kCompleted, kCancelled };
  std::string id;
  State state = State::kWorking;
  std::string message = {};
  std::int64_t created_ms = 0, updated_ms = 0;  // UTC
  Json result = {};                             // of a completed one: what McpResult is sent as
};

struct McpResult {
  std::string text;      // for a model to read
  Json structured = {};  // the same for programs; null: nothing
  bool error = false;
  std::vector<std::string> pictures = {};  // PNGs, base64
  std::optional<McpTask> task = {};  // given in place of all that where the client takes tasks
};
McpResult mcp_failure(const Error& error);
Json to_json(const McpResult& result);  // as the protocol sends it, but for a task

// One call under way.
class McpCall {
 public:
  virtual ~McpCall() = default;
  // Raised when the client has no more use for the answer.
  virtual StopFlag& stop() = 0;
  // Of any thread. Most are left out: clients are told twice a second.
  virtual void progress(std::string_view what) = 0;
};

struct McpTool {
  std::string name;
  std::string description;
  Json input_schema;      // of an object
  bool read_only = true;  // changes nothing that was there before
  // On a thread of its own, many at once; the arguments keep to the schema.
  std::function<McpResult(const Json& arguments, McpCall& call)> run;
};

// The work that outlives its calls. Any thread.
struct McpTasks {
  std::function<Result<McpTask>(const std::string& id)> get;
  std::function<Status(const std::string& id)> cancel;
};

}  // namespace lathe::serve
