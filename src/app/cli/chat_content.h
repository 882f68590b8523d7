// What a message of a chat holds, as its file has it: a text, or the parts that OpenAI's API knows,
// pictures and sounds as base64. Pure.
#pragma once

#include "ground/base/json.h"
#include "ground/base/result.h"
#include "work/content.h"

namespace lathe::app {

Json json_of_part(const ContentPart& part);
// An error: it is neither a text nor such parts.
Result<Content> content_of_json(const Json& json);

}  // namespace lathe::app
