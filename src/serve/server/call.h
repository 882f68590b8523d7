// One request to an endpoint, and what an endpoint gives back.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "serve/server/api_error.h"
#include "work/model_host.h"

namespace lathe::serve {

struct Call {
  std::shared_ptr<HttpExchange> exchange;
  Dialect dialect = Dialect::kOpenAi;
  std::string rest;  // of the path: what the route's '*' stands for
  Json body;         // of a POST: an object
  Caller caller = {};
};

// What a host is told of who asks.
inline Asker asker_of(const Call& call) {
  return {call.caller, {}};
}

// A reply at once; nothing: the answer is under way and writes to the exchange itself.
using Handled = ApiResult<std::optional<HttpReply>>;

inline HttpReply json_reply(const Json& body) {
  return {200, dump_json(body)};
}

// The model that a body asks for an answer. None asked for is fine where there is only one, or a
// default.
ApiResult<std::string> model_of(const ModelHost& host, const Call& call);
// The model that something is to be done with or said of: by its name or an alias, never a default.
ApiResult<std::string> exact_model_of(const ModelHost& host, const Call& call);
ApiResult<ModelInfo> model_info(const ModelHost& host, const std::string& name);

}  // namespace lathe::serve
