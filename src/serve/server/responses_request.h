// OpenAI's responses body → Request, and the fields that the answer repeats.
#pragma once

#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe {

struct ResponsesRequest {
  Request request;
  Json echo;  // instructions, tools, tool_choice, temperature …: fields of the response object
  bool stream = false;
};

ApiResult<ResponsesRequest> responses_request(const Json& body);

}  // namespace lathe
