// Requests of Ollama's API.
#include "serve/server/ollama_request.h"

#include <algorithm>
#include <limits>

#include "serve/server/chat_request.h"

namespace lathe::serve {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();

// Seconds, or a duration as Go writes it: "10m", "1h30m", "-1s".
bool is_duration(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  constexpr std::string_view kUnits[] = {"ns", "us", "µs", "ms", "s", "m", "h"};
  if (text == "0") return true;
  bool any = false;
  while (!text.empty()) {
    const auto digits = std::min(text.find_first_not_of("0123456789."), text.size());
    if (digits == 0) return false;
    text.remove_prefix(digits);
    const auto unit =
        std::ranges::find_if(kUnits, [&](std::string_view each) { return text.starts_with(each); });
    if (unit == std::end(kUnits)) return false;
    text.remove_prefix(unit->size());
    any = true;
  }
  return any;
}

// How long a model stays follows from what the memory is needed for: only 0 means something.
void check_keep_alive(Fields& body) {
  const Json& value = body.raw("keep_alive");
  if (value.is_null() || value.is_number() ||
      (value.is_string() && is_duration(value.get<std::string>())))
    return;
  body.refuse("keep_alive", "must be a number of seconds or a duration like \"10m\"");
}

// `think`: whether, or how hard.
void read_ollama_thinking(Fields& body, Talk& talk) {
  if (body.raw("think").is_string())
    read_effort(body, "think", talk);
  else if (body.has("think"))
    talk.template_variables["enable_thinking"] = body.flag("think", true);
}

// `options`, `format` and the rest that both endpoints know.
void read_shared(Fields& body, OllamaRequest& read) {
  Request& request = read.request;
  request.time_limit = std::chrono::hours(24);
  Fields options = body.within("options");
  read_sampling(options, request);
  read_stop(options, "stop", request);
  // -1 and -2: until it ends by itself or the context is full.
  if (const auto length = options.whole("num_predict", -2, kMaxInt); length && *length > 0)
    request.max_tokens = static_cast<int>(*length);
  else
    request.max_tokens = 0;
  const Json& format = body.raw("format");
  if (format.is_object())
    request.form = SchemaForm{format};
  else if (const auto word = body.text("format"); word == "json")
    request.form = AnyJsonForm();
  else if (word && !word->empty())
    body.refuse("format", "must be \"json\" or a JSON schema");
  const auto top = body.whole("top_logprobs", 0, 20);
  if (body.flag("logprobs", false)) request.top_logprobs = static_cast<int>(top.value_or(0));
  check_keep_alive(body);
  read.stream = body.flag("stream", true);
}

Message read_ollama_message(Fields& fields) {
  Message message{fields.text("role").value_or(""), fields.text("content").value_or("")};
  if (message.role != "system" && message.role != "user" && message.role != "assistant" &&
      message.role != "tool")
    fields.refuse("role", "must be system, user, assistant or tool");
  read_images(fields, message.content);
  message.reasoning = fields.text("thinking").value_or("");
  message.name = fields.text("tool_name").value_or("");
  message.call_id = fields.text("tool_call_id").value_or("");
  for (Fields& call : fields.each("tool_calls")) {
    Fields function = call.within("function");
    const Json& arguments = function.object("arguments");
    message.calls.push_back({call.text("id").value_or(""), function.text("name").value_or(""),
                             arguments.is_null() ? "{}" : dump_json(arguments)});
  }
  return message;
}

}  // namespace

ApiResult<OllamaRequest> ollama_chat_request(const Json& json) {
  Fields body(json);
  OllamaRequest read;
  Talk talk;
  for (Fields& message : body.each("messages"))
    talk.messages.push_back(read_ollama_message(message));
  finish_talk(body, "messages", talk);
  read.empty = talk.messages.empty();
  for (Fields& tool : body.each("tools")) add_tool(tool.within("function"), "parameters", talk);
  read_ollama_thinking(body, talk);
  read_shared(body, read);
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  read.request.ask = std::move(talk);
  return read;
}

ApiResult<OllamaRequest> ollama_generate_request(const Json& json) {
  Fields body(json);
  OllamaRequest read;
  const std::string prompt = body.text("prompt").value_or("");
  const std::string system = body.text("system").value_or("");
  std::string suffix = body.text("suffix").value_or("");
  if (!body.array("context").empty())
    body.refuse("context", "cannot be used: send a talk to /api/chat", "unsupported_value");
  if (!body.text("template").value_or("").empty())
    body.refuse("template", "cannot be changed by a request", "unsupported_value");
  Talk talk;
  Message message{"user", prompt};
  read_images(body, message.content);
  read.empty = message.content.empty();
  if (!system.empty()) talk.messages.push_back({"system", system});
  talk.messages.push_back(std::move(message));
  finish_talk(body, "images", talk);
  read_ollama_thinking(body, talk);
  read_shared(body, read);
  const bool raw = body.flag("raw", false) || !suffix.empty();
  if (raw && !talk.messages.back().content.is_text())
    body.refuse("images", "cannot come with 'raw' or 'suffix'", "unsupported_value");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  if (raw)
    read.request.ask = TextPrompt{prompt, std::move(suffix)};
  else
    read.request.ask = std::move(talk);
  return read;
}

}  // namespace lathe::serve
