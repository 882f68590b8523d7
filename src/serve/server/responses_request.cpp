#include "serve/server/responses_request.h"

#include <limits>

#include "ground/base/text.h"
#include "serve/server/chat_request.h"

namespace lathe {
namespace {

// What the model knows a tool of a namespace by.
std::string joined_name(const std::string& space, const std::string& name) {
  return space + (space.ends_with("__") ? "" : "__") + name;
}

void read_message(Fields& item, Request& request) {
  Message message{item.text("role").value_or("user"), read_content(item, "content")};
  if (message.role == "developer") message.role = "system";
  if (message.role != "system" && message.role != "user" && message.role != "assistant")
    item.refuse("role", "must be user, assistant, system or developer");
  // What it thought, said and called is one message of the assistant to a template.
  std::vector<Message>& messages = request.messages;
  if (message.role == "assistant" && !messages.empty() && messages.back().role == "assistant" &&
      messages.back().content.empty() && messages.back().calls.empty())
    messages.back().content = std::move(message.content);
  else
    messages.push_back(std::move(message));
}

Message& assistant(Request& request) {
  if (request.messages.empty() || request.messages.back().role != "assistant")
    request.messages.push_back({"assistant", ""});
  return request.messages.back();
}

void read_item(Fields& item, Request& request) {
  const std::string type = item.text("type").value_or("message");
  if (type == "message") {
    read_message(item, request);
  } else if (type == "function_call") {
    const std::string name = item.text("name").value_or("");
    const std::string space = item.text("namespace").value_or("");
    assistant(request).calls.push_back({item.text("call_id").value_or(""),
                                        space.empty() ? name : joined_name(space, name),
                                        item.text("arguments").value_or("{}")});
  } else if (type == "function_call_output") {
    Message result{"tool", read_content(item, "output")};
    result.call_id = item.text("call_id").value_or("");
    request.messages.push_back(std::move(result));
  } else if (type == "reasoning") {
    const std::string text = read_content(item, item.has("content") ? "content" : "summary");
    if (!text.empty()) request.messages.push_back({"assistant", "", text});
  } else {
    item.refuse("type",
                fmt::format("is '{}': messages, reasoning, function calls and their outputs are "
                            "what this server knows",
                            clip_utf8(type, 40)),
                "unsupported_value");
  }
}

void read_input(Fields& body, Request& request) {
  if (const auto instructions = body.text("instructions"); instructions && !instructions->empty())
    request.messages.push_back({"system", *instructions});
  if (body.raw("input").is_string())
    request.messages.push_back({"user", body.raw("input").get<std::string>()});
  else
    for (Fields& item : body.each("input")) read_item(item, request);
  if (!body.has("input") || body.raw("input").empty())
    body.refuse("input", "must be a text or an array of items");
  for (const char* stored : {"previous_response_id", "conversation"})
    if (body.has(stored))
      body.refuse(stored, "cannot be used: this server keeps no responses; send the whole talk",
                  "unsupported_value");
  if (body.flag("background", false))
    body.refuse("background", "cannot be used: this server keeps no responses",
                "unsupported_value");
  merge_leading_system(request.messages);
  name_tool_results(request.messages);
}

// Clients send the types of tools that they know; those that a server would run are left out. The
// tools of a namespace are the client's own, under a common name (MCP servers are sent so).
void read_tools(Fields& body, ResponsesRequest& read) {
  for (Fields& tool : body.each("tools")) {
    const std::string type = tool.text("type").value_or("");
    if (type == "function") add_tool(tool, "parameters", read.request);
    if (type != "namespace") continue;
    const std::string space = tool.text("name").value_or("");
    if (space.empty()) tool.refuse("name", "must name the namespace");
    for (Fields& inner : tool.each("tools")) {
      if (inner.text("type").value_or("function") != "function") continue;
      const std::string name = inner.text("name").value_or("");
      const std::string joined = joined_name(space, name);
      read.namespaced[joined] = {space, name};
      Json renamed = inner.whole_object();
      renamed["name"] = name.empty() ? name : joined;
      add_tool(inner.at(renamed, ""), "parameters", read.request);
    }
  }
}

// What the answer says of its request; the 14 required fields, and what clients look at.
Json echo_of(Fields& body, const ResponsesRequest& read) {
  const Request& request = read.request;
  const auto given = [&](std::string_view key, Json fallback) {
    return body.has(key) ? body.raw(key) : std::move(fallback);
  };
  Json tools = Json::array();
  for (const Json& tool : body.array("tools"))
    if (json_string(tool, "type") == "namespace") tools.push_back(tool);
  for (const Json& tool : request.tools) {
    const Json& function = tool["function"];
    if (read.namespaced.contains(json_string(function, "name"))) continue;
    tools.push_back({{"type", "function"},
                     {"name", function["name"]},
                     {"description", function.value("description", Json())},
                     {"parameters", function["parameters"]},
                     {"strict", function.value("strict", Json(false))}});
  }
  Json echo = {{"instructions", given("instructions", nullptr)},
               {"metadata", given("metadata", Json::object())},
               {"temperature", given("temperature", nullptr)},  // null: the model's
               {"top_p", given("top_p", nullptr)},
               {"top_logprobs", given("top_logprobs", 0)},
               {"tools", std::move(tools)},
               {"tool_choice", given("tool_choice", "auto")},
               {"parallel_tool_calls", request.parallel_calls},
               {"max_output_tokens", given("max_output_tokens", nullptr)},
               {"previous_response_id", nullptr},
               {"reasoning", given("reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
               {"text", given("text", {{"format", {{"type", "text"}}}})},
               {"truncation", "disabled"},
               {"background", false},
               {"store", false}};
  if (body.has("user")) echo["user"] = body.raw("user");
  return echo;
}

}  // namespace

ApiResult<ResponsesRequest> responses_request(const Json& json) {
  Fields body(json);
  ResponsesRequest read;
  Request& request = read.request;
  request.time_limit = std::chrono::hours(24);
  read_input(body, request);
  request.max_tokens = static_cast<int>(
      body.whole("max_output_tokens", 1, std::numeric_limits<int>::max()).value_or(0));
  read_sampling(body, request);
  read_tools(body, read);
  read_tool_choice(body, "", request);
  request.parallel_calls = body.flag("parallel_tool_calls", true);
  read_format(body.within("text").within("format"), "", request);
  Fields reasoning = body.within("reasoning");
  read_effort(reasoning, "effort", request);
  const auto top = body.whole("top_logprobs", 0, 20);
  for (const Json& more : body.array("include"))
    if (more == "message.output_text.logprobs")
      request.top_logprobs = static_cast<int>(top.value_or(0));
  request.keep_prefix = body.text("prompt_cache_retention").value_or("") == "24h";
  body.object("metadata");
  body.text("user");
  read.stream = body.flag("stream", false);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  read.echo = echo_of(body, read);
  return read;
}

}  // namespace lathe
