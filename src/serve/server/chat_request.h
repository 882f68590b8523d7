// OpenAI's chat completions body → Request; the parts that other endpoints share.
#pragma once

#include "serve/server/content_request.h"
#include "serve/server/fields.h"
#include "work/work.h"

namespace lathe::serve {

// All that says how tokens are drawn and when it ends, in OpenAI's words.
void read_sampling(Fields& body, Request& request);
void read_stop(Fields& body, std::string_view key, Request& request);
// {type: text | json_object | json_schema …}; `schema_holder`: the fields of the schema itself
// stand in an object of this name ("json_schema"), or beside the type ("").
void read_format(Fields format, std::string_view schema_holder, Request& request);
// What the answer is held to, of chat completions and completions: `response_format`, `grammar`,
// and other servers' names for them.
void read_constraints(Fields& body, Request& request);
void read_effort(Fields& body, std::string_view key, Talk& talk);
// Appends one function in OpenAI's nested shape. `function` has name, description, `parameters`.
void add_tool(Fields function, std::string_view parameters, Talk& talk);
// A custom tool takes free text: to the model it is a function with one text. `custom` has name,
// description and format, whose grammar the model is told.
inline constexpr std::string_view kCustomInput = "input";
void add_custom_tool(Fields custom, Talk& talk);
FunctionCall custom_call(std::string id, Fields& custom);  // of its `name` and `input`
std::string custom_input(const FunctionCall& call);
// After the tools: "none" "auto" "required", or an object: a tool's name, or the tools that are
// allowed. `nested`: as in chat completions, where names stand in an object of their type's name.
void read_tool_choice(Fields& body, bool nested, Talk& talk);
void choose_function(Fields& body, std::string_view key, const std::string& name, Talk& talk);
void check_tool_choice(Fields& body, std::string_view key, const Talk& talk);
// When all messages, the field `key`, are there: as templates want them.
void finish_talk(Fields& body, std::string_view key, Talk& talk);

ApiResult<Request> chat_request(const Json& body);

}  // namespace lathe::serve
