// The shapes that a conversation has in training data, as one: messages as chat templates take
// them. Pure.
#pragma once

#include "ground/base/json.h"

namespace lathe::app {

// Checked: known roles, text where there must be text, a turn of the assistant. The arguments of
// calls become objects, as the server gives them to templates.
Result<Json> messages_of_chat(const Json& messages);
Result<Json> messages_of_sharegpt(const Json& conversations);
Result<Json> messages_of_alpaca(const Json& line);

// The value of a member that must be a string.
Result<std::string> text_member(const Json& object, const char* key);

}  // namespace lathe::app
