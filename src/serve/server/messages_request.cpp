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

void read_system(Fields& body, Talk& talk) {
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
  if (!system.empty()) talk.messages.push_back({"system", system});
}

void append(std::string& text, const std::string& more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

void append(Content& content, Content more) {
  if (content.empty())
    content = std::move(more);
  else if (!more.empty())
    content.add(std::move(more));
}

// A result is a message of its own, before what else the user says.
void read_result(Fields& block, Talk& talk) {
  Message result{"tool", read_content(block, "content")};
  result.call_id = block.text("tool_use_id").value_or("");
  if (block.flag("is_error", false))
    result.content = Content("Error: ").add(std::move(result.content), "");
  talk.messages.push_back(std::move(result));
}

void read_block(Fields& block, Message& message, Talk& talk) {
  const std::string type = block.text("type").value_or("");
  const bool assistant = message.role == "assistant";
  if (type == "text") {
    append(message.content, block.text("text").value_or(""));
  } else if (type == "image" && !assistant) {
    append(message.content, read_image_block(block));
  } else if (type == "document" && !assistant) {
    append(message.content, read_document_block(block));
  } else if (type == "tool_use" && assistant) {
    const Json& input = block.object("input");
    message.calls.push_back({block.text("id").value_or(""), block.text("name").value_or(""),
                             input.is_null() ? "{}" : dump_json(input)});
  } else if (type == "tool_result" && !assistant) {
    read_result(block, talk);
  } else if (type == "thinking" && assistant) {
    append(message.reasoning, block.text("thinking").value_or(""));
  } else if (type != "redacted_thinking") {
    block.refuse(
        "type",
        fmt::format("is '{}': texts, pictures, documents, thinking, calls and their results "
                    "are what this server knows",
                    clip_utf8(type, 40)),
        "unsupported_value");
  }
}

void read_turn(Fields& fields, Talk& talk) {
  Message message{fields.text("role").value_or(""), ""};
  if (message.role != "user" && message.role != "assistant" && message.role != "system")
    fields.refuse("role", "must be user, assistant or system");
  if (fields.raw("content").is_array()) {
    for (Fields& block : fields.each("content")) read_block(block, message, talk);
    // Results alone need no message of the user beside them.
    const bool results = !talk.messages.empty() && talk.messages.back().role == "tool";
    if (results && message.content.empty() && message.role == "user") return;
  } else {
    message.content = fields.text("content").value_or("");
  }
  talk.messages.push_back(std::move(message));
}

void read_client_tools(Fields& body, Talk& talk) {
  // Tools that Anthropic runs itself (web_search_…) have a type of their own: there are none here.
  for (Fields& tool : body.each("tools"))
    if (tool.text("type").value_or("custom") == "custom") add_tool(tool, "input_schema", talk);
  Fields choice = body.within("tool_choice");
  const std::string type = choice.text("type").value_or("auto");
  if (type == "any")
    talk.tool_choice = MustCall();
  else if (type == "none")
    talk.tool_choice = NoCall();
  else if (type == "tool")
    choose_function(choice, "name", choice.text("name").value_or(""), talk);
  else if (type != "auto")
    choice.refuse("type", "must be auto, any, tool or none");
  talk.parallel_calls = !choice.flag("disable_parallel_tool_use", false);
  check_tool_choice(body, "tool_choice", talk);
}

void read_thinking(Fields& body, Talk& talk) {
  Fields thinking = body.within("thinking");
  const std::string type = thinking.text("type").value_or("");
  if (type == "enabled" || type == "disabled")
    talk.template_variables["enable_thinking"] = type == "enabled";
  else if (!type.empty() && type != "adaptive")
    thinking.refuse("type", "must be enabled, disabled or adaptive");
}

}  // namespace

ApiResult<Request> messages_request(const Json& json) {
  Fields body(json);
  Request request;
  Talk talk;
  request.time_limit = std::chrono::hours(24);
  read_system(body, talk);
  const std::size_t system = talk.messages.size();
  for (Fields& message : body.each("messages")) read_turn(message, talk);
  if (talk.messages.size() == system) body.refuse("messages", "must have at least one message");
  finish_talk(body, "messages", talk);
  request.max_tokens =
      static_cast<int>(body.whole("max_tokens", 1, std::numeric_limits<int>::max()).value_or(0));
  read_sampling(body, request);
  read_stop(body, "stop_sequences", request);
  read_client_tools(body, talk);
  read_thinking(body, talk);
  Fields output = body.within("output_config");
  read_effort(output, "effort", talk);
  read_format(output.within("format"), "", request);
  read_format(body.within("output_format"), "", request);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  request.ask = std::move(talk);
  return request;
}

}  // namespace lathe::serve
