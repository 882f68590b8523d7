// OpenAI's responses body → Request, and the fields that the answer repeats.
#pragma once

#include <map>
#include <set>
#include <string>

#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe::serve {

struct ResponsesRequest {
  Request request;
  Json echo;  // instructions, tools, tool_choice, temperature …: fields of the response object
  // Of tools in a namespace: what the model calls each, and how the client knows it.
  struct Namespaced {
    std::string space, name;
  };
  std::map<std::string, Namespaced> namespaced;
  std::set<std::string> custom;  // names of tools that take free text
  bool stream = false;
};

ApiResult<ResponsesRequest> responses_request(const Json& body);

}  // namespace lathe::serve
