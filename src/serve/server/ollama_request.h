// Ollama's bodies → Request.
#pragma once

#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe::serve {

struct OllamaRequest {
  Request request;
  bool stream = true;
  bool empty = false;  // nothing is asked but that the model comes or goes
};

ApiResult<OllamaRequest> ollama_chat_request(const Json& body);
ApiResult<OllamaRequest> ollama_generate_request(const Json& body);

}  // namespace lathe::serve
