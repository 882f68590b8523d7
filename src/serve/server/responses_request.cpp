// Requests of OpenAI's responses.
#include "serve/server/responses_request.h"

#include <algorithm>
#include <limits>

#include "ground/base/text.h"
#include "serve/server/chat_request.h"

namespace lathe::serve {
namespace {

// What the model knows a tool of a namespace by.
std::string joined_name(const std::string& space, const std::string& name) {
  return space + (space.ends_with("__") ? "" : "__") + name;
}

void read_message(Fields& item, Talk& talk) {
  Message message{item.text("role").value_or("user"), read_content(item, "content")};
  if (message.role == "developer") message.role = "system";
  if (message.role != "system" && message.role != "user" && message.role != "assistant")
    item.refuse("role", "must be user, assistant, system or developer");
  // What it thought, said and called is one message of the assistant to a template.
  std::vector<Message>& messages = talk.messages;
  if (message.role == "assistant" && !messages.empty() && messages.back().role == "assistant" &&
      messages.back().content.empty() && messages.back().calls.empty())
    messages.back().content = std::move(message.content);
  else
    messages.push_back(std::move(message));
}

Message& assistant(Talk& talk) {
  if (talk.messages.empty() || talk.messages.back().role != "assistant")
    talk.messages.push_back({"assistant", ""});
  return talk.messages.back();
}

// What another server did or kept for itself: its outcome stands in what the assistant said.
bool is_left_out(std::string_view type) {
  constexpr std::string_view kTypes[] = {"web_search_call",
                                         "file_search_call",
                                         "code_interpreter_call",
                                         "computer_call",
                                         "image_generation_call",
                                         "mcp_list_tools",
                                         "mcp_call",
                                         "compaction",
                                         "context_compaction"};
  return std::ranges::find(kTypes, type) != std::end(kTypes);
}

void read_item(Fields& item, Talk& talk) {
  const std::string type = item.text("type").value_or("message");
  if (type == "message") {
    read_message(item, talk);
  } else if (type == "function_call") {
    const std::string name = item.text("name").value_or("");
    const std::string space = item.text("namespace").value_or("");
    assistant(talk).calls.push_back({item.text("call_id").value_or(""),
                                     space.empty() ? name : joined_name(space, name),
                                     item.text("arguments").value_or("{}")});
  } else if (type == "custom_tool_call") {
    assistant(talk).calls.push_back(custom_call(item.text("call_id").value_or(""), item));
  } else if (type == "local_shell_call") {
    assistant(talk).calls.push_back({item.text("call_id").value_or(""), "local_shell",
                                     dump_json(item.within("action").whole_object())});
  } else if (type == "function_call_output" || type == "custom_tool_call_output" ||
             type == "local_shell_call_output") {
    Message result{"tool", read_content(item, "output")};
    result.call_id = item.text(item.has("call_id") ? "call_id" : "id").value_or("");
    talk.messages.push_back(std::move(result));
  } else if (is_left_out(type)) {
    return;
  } else if (type == "item_reference") {
    item.refuse("type", "is 'item_reference': this server keeps no items; send the item itself",
                "unsupported_value");
  } else if (type == "reasoning") {
    const std::string text = read_words(item, item.has("content") ? "content" : "summary");
    if (!text.empty()) talk.messages.push_back({"assistant", "", text});
  } else {
    item.refuse("type",
                fmt::format("is '{}': messages, reasoning, function calls and their outputs are "
                            "what this server knows",
                            clip_utf8(type, 40)),
                "unsupported_value");
  }
}

void read_input(Fields& body, Talk& talk) {
  if (const auto instructions = body.text("instructions"); instructions && !instructions->empty())
    talk.messages.push_back({"system", *instructions});
  if (body.raw("input").is_string())
    talk.messages.push_back({"user", body.raw("input").get<std::string>()});
  else
    for (Fields& item : body.each("input")) read_item(item, talk);
  if (!body.has("input") || body.raw("input").empty())
    body.refuse("input", "must be a text or an array of items");
  for (const char* stored : {"previous_response_id", "conversation"})
    if (body.has(stored))
      body.refuse(stored, "cannot be used: this server keeps no responses; send the whole talk",
                  "unsupported_value");
  if (body.has("prompt"))
    body.refuse("prompt", "cannot be used: this server keeps no prompts; send its text",
                "unsupported_value");
  if (body.flag("background", false))
    body.refuse("background", "cannot be used: this server keeps no responses",
                "unsupported_value");
  finish_talk(body, "input", talk);
}

// Clients send the types of tools that they know; those that a server would run are left out. The
// tools of a namespace are the client's own, under a common name (MCP servers are sent so).
void read_tools(Fields& body, Talk& talk, ResponsesRequest& read) {
  for (Fields& tool : body.each("tools")) {
    const std::string type = tool.text("type").value_or("");
    if (type == "function") add_tool(tool, "parameters", talk);
    if (type == "custom") {
      add_custom_tool(tool, talk);
      read.custom.insert(tool.text("name").value_or(""));
    }
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
      add_tool(inner.at(renamed, ""), "parameters", talk);
    }
  }
}

void read_include(Fields& body, std::int64_t top, Request& request) {
  // All but the first are of tools that a server would run: there is nothing of them to include.
  constexpr std::string_view kKnown[] = {"message.output_text.logprobs",
                                         "reasoning.encrypted_content",
                                         "file_search_call.results",
                                         "web_search_call.results",
                                         "web_search_call.action.sources",
                                         "message.input_image.image_url",
                                         "computer_call_output.output.image_url",
                                         "code_interpreter_call.outputs"};
  for (const Json& more : body.array("include")) {
    if (!more.is_string() || std::ranges::find(kKnown, more.get<std::string>()) == std::end(kKnown))
      return body.refuse("include",
                         "names what a response does not have: " + clip_utf8(dump_json(more), 60));
    if (more == kKnown[0]) request.top_logprobs = static_cast<int>(top);
  }
}

// What the answer says of its request; the 14 required fields, and what clients look at.
Json echo_of(Fields& body, const Talk& talk, const ResponsesRequest& read) {
  const auto given = [&](std::string_view key, Json fallback) {
    return body.has(key) ? body.raw(key) : std::move(fallback);
  };
  Json tools = Json::array();
  for (const Json& tool : body.array("tools"))
    if (const std::string type = json_string(tool, "type"); type == "namespace" || type == "custom")
      tools.push_back(tool);
  for (const Tool& tool : talk.tools) {
    if (read.namespaced.contains(tool.name) || read.custom.contains(tool.name)) continue;
    tools.push_back({{"type", "function"},
                     {"name", tool.name},
                     {"description", tool.description ? Json(*tool.description) : Json()},
                     {"parameters", tool.parameters},
                     {"strict", tool.strict.value_or(false)}});
  }
  Json echo = {{"instructions", given("instructions", nullptr)},
               {"metadata", given("metadata", Json::object())},
               {"temperature", given("temperature", nullptr)},  // null: the model's
               {"top_p", given("top_p", nullptr)},
               {"top_logprobs", given("top_logprobs", 0)},
               {"tools", std::move(tools)},
               {"tool_choice", given("tool_choice", "auto")},
               {"parallel_tool_calls", talk.parallel_calls},
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
  Talk talk;
  request.time_limit = std::chrono::hours(24);
  read_input(body, talk);
  request.max_tokens = static_cast<int>(
      body.whole("max_output_tokens", 1, std::numeric_limits<int>::max()).value_or(0));
  read_sampling(body, request);
  read_tools(body, talk, read);
  read_tool_choice(body, false, talk);
  talk.parallel_calls = body.flag("parallel_tool_calls", true);
  read_format(body.within("text").within("format"), "", request);
  Fields reasoning = body.within("reasoning");
  read_effort(reasoning, "effort", talk);
  const auto top = body.whole("top_logprobs", 0, 20);
  read_include(body, top.value_or(0), request);
  request.keep_prefix = body.text("prompt_cache_retention").value_or("") == "24h";
  body.object("metadata");
  body.text("user");
  read.stream = body.flag("stream", false);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  read.echo = echo_of(body, talk, read);
  request.ask = std::move(talk);
  return read;
}

}  // namespace lathe::serve
