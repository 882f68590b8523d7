// The way of every generation through the server: requests go to the host, what comes back goes
// through a writer to the client, and a client that is gone ends the work.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/server/call.h"

namespace lathe::serve {

// One an answer. Says in one API's words what the host says. Calls come one at a time.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  // Bytes of the stream for a delta of request number `index`; may be none.
  virtual std::string delta(std::size_t index, const Delta& delta) = 0;
  // The rest of the stream.
  virtual std::string last(const std::vector<std::vector<HostReply>>& replies) = 0;
  // All of it, where no stream is wanted.
  virtual Json whole(const std::vector<std::vector<HostReply>>& replies) = 0;
  // How a stream says that it broke off.
  virtual std::string broken(const ApiError& error) = 0;
  // Whether a failure before the first byte is also told by a stream.
  virtual bool streams_failure(const ApiError&) const { return false; }
};

struct AnswerShape {
  bool stream = false;
  HttpStreamHead head = {};
};

// The head of a stream of server-sent events; pings keep it alive.
HttpStreamHead event_stream();
// One event.
std::string sse_data(const Json& data);
std::string sse_event(std::string_view name, const Json& data);

// Submits and returns.
Handled answer(ModelHost& host, Call& call, const std::string& model,
               std::vector<HostRequest> requests, const AnswerShape& shape,
               std::unique_ptr<AnswerWriter> writer);

// Has tokens made by `start`, and replies with what `make` makes of them.
using TokensStart = std::function<ModelHost::Id(ModelHost::OnTokens)>;
Handled answer_tokens(
    ModelHost& host, Call& call, const TokensStart& start,
    std::function<ApiResult<HttpReply>(const std::vector<std::int32_t>& tokens)> make);

}  // namespace lathe::serve
