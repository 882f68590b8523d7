// Requests of Anthropic's messages.
#include "serve/server/messages_request.h"

#include <limits>

#include "ground/base/text.h"
#include "serve/server/chat_request.h"

namespace lathe::serve {
namespace {

// Claude Code writes a line with a new number here with every request: no prompt would ever be
// remembered.
constexpr std::string_view kBilling = "x-anthropic-billing-header:";

std::string without_billing(std::string text) {
  if (!text.starts_with(kBilling)) return text;
  const std::size_t end = text.find('\n');
  return end == text.npos ? std::string() : text.substr(end + 1);
}

void read_system(Fields& body, Request& request) {
  std::string system;
  if (body.raw("system").is_array()) {
    for (Fields& block : body.each("system")) {
      const std::string text = without_billing(block.text("text").value_or(""));
      if (!system.empty() && !text.empty()) system += '\n';
      system += text;
    }
  } else {
    system = without_billing(body.text("system").value_or(""));
  }
  if (!system.empty()) request.messages.push_back({"system", system});
}

void append(std::string& text, const std::string& more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

// A result is a message of its own, before what else the user says.
void read_result(Fields& block, Request& request) {
  Message result{"tool", read_content(block, "content")};
  result.call_id = block.text("tool_use_id").value_or("");
  if (block.flag("is_error", false)) result.content = "Error: " + result.content;
  request.messages.push_back(std::move(result));
}

void read_block(Fields& block, Message& message, Request& request) {
  const std::string type = block.text("type").value_or("");
  const bool assistant = message.role == "assistant";
  if (type == "text") {
    append(message.content, block.text("text").value_or(""));
  } else if (type == "tool_use" && assistant) {
    const Json& input = block.object("input");
    message.calls.push_back({block.text("id").value_or(""), block.text("name").value_or(""),
                             input.is_null() ? "{}" : dump_json(input)});
  } else if (type == "tool_result" && !assistant) {
    read_result(block, request);
  } else if (type == "thinking" && assistant) {
    append(message.reasoning, block.text("thinking").value_or(""));
  } else if (type != "redacted_thinking") {
    block.refuse("type", fmt::format("is '{}': this model takes text only", clip_utf8(type, 40)),
                 "unsupported_value");
  }
}

void read_message(Fields& fields, Request& request) {
  Message message{fields.text("role").value_or(""), ""};
  if (message.role != "user" && message.role != "assistant" && message.role != "system")
    fields.refuse("role", "must be user, assistant or system");
  if (fields.raw("content").is_array()) {
    for (Fields& block : fields.each("content")) read_block(block, message, request);
    // Results alone need no message of the user beside them.
    const bool results = !request.messages.empty() && request.messages.back().role == "tool";
    if (results && message.content.empty() && message.role == "user") return;
  } else {
    message.content = fields.text("content").value_or("");
  }
  request.messages.push_back(std::move(message));
}

void read_tools(Fields& body, Request& request) {
  // Tools that Anthropic runs itself (web_search_…) have a type of their own: there are none here.
  for (Fields& tool : body.each("tools"))
    if (tool.text("type").value_or("custom") == "custom") add_tool(tool, "input_schema", request);
  Fields choice = body.within("tool_choice");
  const std::string type = choice.text("type").value_or("auto");
  if (type == "any")
    request.tool_choice = ToolChoice::kRequired;
  else if (type == "none")
    request.tool_choice = ToolChoice::kNone;
  else if (type == "tool")
    choose_function(choice, "name", choice.text("name").value_or(""), request);
  else if (type != "auto")
    choice.refuse("type", "must be auto, any, tool or none");
  request.parallel_calls = !choice.flag("disable_parallel_tool_use", false);
  check_tool_choice(body, "tool_choice", request);
}

void read_thinking(Fields& body, Request& request) {
  Fields thinking = body.within("thinking");
  const std::string type = thinking.text("type").value_or("");
  if (type == "enabled" || type == "disabled")
    request.template_variables["enable_thinking"] = type == "enabled";
  else if (!type.empty() && type != "adaptive")
    thinking.refuse("type", "must be enabled, disabled or adaptive");
}

}  // namespace

ApiResult<Request> messages_request(const Json& json) {
  Fields body(json);
  Request request;
  request.time_limit = std::chrono::hours(24);
  read_system(body, request);
  const std::size_t system = request.messages.size();
  for (Fields& message : body.each("messages")) read_message(message, request);
  if (request.messages.size() == system) body.refuse("messages", "must have at least one message");
  merge_leading_system(request.messages);
  name_tool_results(request.messages);
  request.max_tokens =
      static_cast<int>(body.whole("max_tokens", 1, std::numeric_limits<int>::max()).value_or(0));
  read_sampling(body, request);
  read_stop(body, "stop_sequences", request);
  read_tools(body, request);
  read_thinking(body, request);
  Fields output = body.within("output_config");
  read_effort(output, "effort", request);
  read_format(output.within("format"), "", request);
  read_format(body.within("output_format"), "", request);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  return request;
}

}  // namespace lathe::serve
