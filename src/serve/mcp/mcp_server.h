// The Model Context Protocol, whatever carries its messages: revision 2026-07-28, in which every
// request says what it needs, and beside it those that begin with `initialize`. Source: the
// protocol's specification, https://modelcontextprotocol.io/specification. Any thread.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "ground/schema/json_schema.h"
#include "serve/mcp/tool.h"
#include "serve/rpc/message.h"

namespace lathe::serve {

struct McpIdentity {
  std::string name, version;
  std::string instructions;  // for the model that calls
};

// Whoever asked one thing: gets notifications, then the one answer. Any thread; never both at once.
class McpPeer {
 public:
  virtual ~McpPeer() = default;
  virtual void notify(const Json& message) = 0;
  virtual void answer(const Json& message, int http_status) = 0;
};

// Where a message came by.
struct McpChannel {
  std::string session;  // calls of the same one are cancelled by their ids
  // The revision that it is in without saying so, as agreed by `initialize`; "": none.
  std::string legacy = {};
};

class McpServer {
 public:
  static constexpr std::size_t kMostCalls = 16;  // at once

  McpServer(McpIdentity identity, std::vector<McpTool> tools, McpTasks tasks);
  ~McpServer();  // end()
  // Ends the calls that are under way, none of which is answered; further ones are refused.
  void end();

  // A request is answered to `peer`, before this returns or later. `initialize` sets
  // `channel.legacy`.
  void handle(const RpcMessage& message, McpChannel& channel, const std::shared_ptr<McpPeer>& peer);
  // Nobody waits for this answer any more.
  void cancel(const std::string& session, const Json& id);

 private:
  class Running;
  struct Era {
    bool modern = false;
    bool tasks = false;  // the client takes them
  };

  RpcResult<Era> era_of(const RpcMessage& message, const McpChannel& channel) const;
  RpcResult<Json> answer(const RpcMessage& message, const Era& era, McpChannel& channel) const;
  RpcResult<Json> initialize(const RpcMessage& message, McpChannel& channel) const;
  Json discover() const;
  Json list_tools() const;
  RpcResult<Json> on_task(const RpcMessage& message) const;
  RpcResult<void> call_tool(const RpcMessage& message, const Era& era, const std::string& session,
                            const std::shared_ptr<McpPeer>& peer);
  void run(const McpTool& tool, const Json& arguments, const Era& era,
           const std::shared_ptr<Running>& running) const;
  Json finished(Json result, const Era& era) const;

  const McpIdentity identity_;
  const std::vector<McpTool> tools_;
  std::vector<JsonSchema> schemas_;  // beside tools_
  const McpTasks tasks_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable fewer_;
  std::map<std::string, std::shared_ptr<Running>> running_;  // by session and id
  std::size_t threads_ = 0;
  bool ended_ = false;
};

}  // namespace lathe::serve
