// Anthropic's messages body → Request.
#pragma once

#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe::serve {

ApiResult<Request> messages_request(const Json& body);

}  // namespace lathe::serve
