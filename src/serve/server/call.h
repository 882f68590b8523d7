// One request to an endpoint, and what an endpoint gives back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/net/multipart.h"
#include "serve/server/gate.h"
#include "serve/server/quota.h"
#include "work/model_host.h"

namespace lathe::serve {

struct Call {
  std::shared_ptr<HttpExchange> exchange;
  Dialect dialect = Dialect::kOpenAi;
  std::string rest;                  // of the path: what the route's '*' stands for
  Json body;                         // of a POST: an object
  std::vector<FormPart> files = {};  // of a form, whose other fields are the body
  Caller caller = {};
  bool owner = true;                                // Visitor's
  std::shared_ptr<const Key> key = {};              // null: none, or the owner's
  std::shared_ptr<QuotaMeter::Ticket> ticket = {};  // of that key, while the call is under way
  std::vector<std::string> names = {};  // of the path: what the route's braces stand for
};

// What a host is told of who asks. The call's ticket goes with it, and ends when it is known what
// the answer took.
Asker asker_of(Call& call);

// The host's state, as far as this caller may see it: its models.
HostStatus status_for(const ModelHost& host, const Call& call);

// A reply at once; nothing: the answer is under way and writes to the exchange itself.
using Handled = ApiResult<std::optional<HttpReply>>;

inline HttpReply json_reply(const Json& body) {
  return {200, dump_json(body)};
}

// The model that a body asks for an answer. None asked for is fine where there is only one, or a
// default.
ApiResult<std::string> model_of(const ModelHost& host, const Call& call);
// The same of what writes sounds down: a name that only stands for some model of a cloud's, or
// none, means the one that there is, or of several the one in memory.
ApiResult<std::string> transcriber_of(const ModelHost& host, const Call& call);
// The model that something is to be done with or said of: by its name or an alias, never a default.
ApiResult<std::string> exact_model_of(const ModelHost& host, const Call& call);
ApiResult<ModelInfo> model_info(const ModelHost& host, const std::string& name);

}  // namespace lathe::serve
