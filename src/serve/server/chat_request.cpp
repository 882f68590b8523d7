// Requests of chat completions.
#include "serve/server/chat_request.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::int64_t kMaxTokens = std::numeric_limits<int>::max();
constexpr std::size_t kMaxStops = 16, kMaxStopBytes = 4096;
constexpr int kMaxCandidates = 128, kMaxLogprobs = 20;

template <class T>
void keep(std::optional<T>& target, std::optional<T> given) {
  if (given) target = std::move(given);
}

void read_logit_bias(Fields& body, Request& request) {
  const Json& biases = body.object("logit_bias");
  if (!biases.is_object()) return;
  Fields inner = body.within("logit_bias");
  for (const auto& [key, bias] : biases.items()) {
    int id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      return inner.refuse(key, "must be a token id, an integer from 0 on");
    if (const auto value = inner.number(key, -100, 100)) request.sampling.logit_bias[id] = *value;
  }
}

void read_lengths(Fields& body, Request& request) {
  const auto old_name = body.whole("max_tokens", 1, kMaxTokens);
  const auto new_name = body.whole("max_completion_tokens", 1, kMaxTokens);
  request.max_tokens = static_cast<int>(new_name.value_or(old_name.value_or(0)));
  request.candidates = static_cast<int>(body.whole("n", 1, kMaxCandidates).value_or(1));
}

void read_logprobs(Fields& body, Request& request) {
  const bool wanted = body.flag("logprobs", false);
  const auto top = body.whole("top_logprobs", 0, kMaxLogprobs);
  if (top.value_or(0) > 0 && !wanted) body.refuse("top_logprobs", "needs 'logprobs': true");
  if (wanted) request.top_logprobs = static_cast<int>(top.value_or(0));
}

void read_prediction(Fields& body, Request& request) {
  if (!body.object("prediction").is_object()) return;
  Fields prediction = body.within("prediction");
  if (prediction.text("type").value_or("content") != "content")
    prediction.refuse("type", "must be \"content\"");
  request.prediction = read_words(prediction, "content");
}

FunctionCall read_call(Fields& call) {
  if (call.text("type").value_or("function") == "custom") {
    Fields custom = call.within("custom");
    return custom_call(call.text("id").value_or(""), custom);
  }
  Fields function = call.within("function");
  FunctionCall read{call.text("id").value_or(""), function.text("name").value_or(""), ""};
  const Json& arguments = function.raw("arguments");
  // An object is what some clients send, though the API says text.
  read.arguments =
      arguments.is_object() ? dump_json(arguments) : function.text("arguments").value_or("{}");
  if (read.name.empty()) function.refuse("name", "must name the function that was called");
  return read;
}

Message read_message(Fields& fields) {
  Message message;
  message.role = fields.text("role").value_or("");
  if (message.role == "developer") message.role = "system";
  const bool result = message.role == "tool" || message.role == "function";
  if (!result && message.role != "system" && message.role != "user" && message.role != "assistant")
    fields.refuse("role", "must be system, developer, user, assistant, tool or function");
  message.content = read_content(fields, "content");
  if (result) {
    message.role = "tool";
    message.call_id = fields.text("tool_call_id").value_or("");
    message.name = fields.text("name").value_or("");
  }
  if (message.role != "assistant") return message;
  message.reasoning =
      fields.text("reasoning_content").value_or(fields.text("reasoning").value_or(""));
  if (message.content.empty()) message.content = fields.text("refusal").value_or("");
  for (Fields& call : fields.each("tool_calls")) message.calls.push_back(read_call(call));
  return message;
}

void read_tools(Fields& body, Talk& talk) {
  for (const char* old : {"functions", "function_call"})
    if (body.has(old)) body.refuse(old, "is not known any more: use 'tools' and 'tool_choice'");
  for (Fields& tool : body.each("tools")) {
    const std::string type = tool.text("type").value_or("function");
    if (type != "function" && type != "custom")
      tool.refuse("type", "must be function or custom: this server runs no tools itself");
    if (type == "custom")
      add_custom_tool(tool.within("custom"), talk);
    else
      add_tool(tool.within("function"), "parameters", talk);
  }
  read_tool_choice(body, true, talk);
  talk.parallel_calls = body.flag("parallel_tool_calls", true);
}

}  // namespace

void read_sampling(Fields& body, Request& request) {
  Sampling& sampling = request.sampling;
  keep(sampling.temperature, body.number("temperature", 0, 2));
  keep(sampling.top_p, body.number("top_p", 0, 1));
  keep(sampling.min_p, body.number("min_p", 0, 1));
  keep(sampling.typical_p, body.number("typical_p", 0, 1));
  keep(sampling.repeat_penalty, body.number("repeat_penalty", 0.01, 100));
  keep(sampling.frequency_penalty, body.number("frequency_penalty", -2, 2));
  keep(sampling.presence_penalty, body.number("presence_penalty", -2, 2));
  keep(sampling.seed, body.whole("seed", std::numeric_limits<std::int64_t>::min(),
                                 std::numeric_limits<std::int64_t>::max()));
  if (const auto top_k = body.whole("top_k", -1, kMaxTokens))
    sampling.top_k = static_cast<int>(std::max<std::int64_t>(*top_k, 0));
  read_logit_bias(body, request);
}

void read_stop(Fields& body, std::string_view key, Request& request) {
  if (body.raw(key).is_string()) {
    request.stop.push_back(body.raw(key).get<std::string>());
  } else if (body.has(key)) {
    const Json& stops = body.array(key);
    if (stops.size() > kMaxStops)
      return body.refuse(key, fmt::format("may have {} texts at most", kMaxStops));
    for (const Json& stop : stops) {
      if (!stop.is_string()) return body.refuse(key, "must be a string or an array of strings");
      request.stop.push_back(stop.get<std::string>());
    }
  }
  for (const std::string& stop : request.stop)
    if (stop.empty() || stop.size() > kMaxStopBytes)
      return body.refuse(key, fmt::format("must have texts of 1 to {} bytes", kMaxStopBytes));
}

void read_format(Fields format, std::string_view schema_holder, Request& request) {
  const std::string type = format.text("type").value_or("text");
  if (type == "text") return;
  if (type != "json_object" && type != "json_schema")
    return format.refuse("type", "must be text, json_object or json_schema");
  Fields holder =
      schema_holder.empty() || type == "json_object" ? format : format.within(schema_holder);
  const Json& schema = holder.raw("schema");
  if (!schema.is_null() && !schema.is_object() && !schema.is_boolean())
    return holder.refuse("schema", "must be a JSON schema: an object");
  const bool strict = holder.flag("strict", false);
  if (!schema.is_null())
    request.form = SchemaForm{schema, strict};
  else if (type == "json_object")
    request.form = AnyJsonForm();
  else
    holder.refuse("schema", "is missing");
}

void read_constraints(Fields& body, Request& request) {
  read_format(body.within("response_format"), "json_schema", request);
  for (const char* key : {"guided_json", "json_schema"}) {
    if (!body.has(key)) continue;
    if (std::holds_alternative<SchemaForm>(request.form))
      return body.refuse(key, "is a second schema for one answer");
    if (!body.raw(key).is_object()) return body.refuse(key, "must be a JSON schema: an object");
    request.form = SchemaForm{body.raw(key)};
  }
  if (std::string gbnf = body.text("grammar").value_or(""); !gbnf.empty()) {
    if (!std::holds_alternative<FreeForm>(request.form))
      body.refuse("grammar", "cannot come with a schema: an answer is held to one of them");
    request.form = GrammarForm{std::move(gbnf)};
  }
  for (const char* key : {"guided_regex", "guided_choice", "guided_grammar", "structured_outputs"})
    if (body.has(key))
      body.refuse(key, "is not known here: use 'response_format' with a schema, or 'grammar'",
                  "unsupported_value");
}

void read_effort(Fields& body, std::string_view key, Talk& talk) {
  constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium",
                                           "high", "xhigh",   "max"};
  const auto effort = body.text(key);
  if (!effort) return;
  if (std::ranges::find(kEfforts, *effort) == std::end(kEfforts))
    return body.refuse(key, "must be none, minimal, low, medium, high, xhigh or max");
  talk.template_variables["reasoning_effort"] = *effort;
  if (*effort == "none") talk.template_variables["enable_thinking"] = false;
}

void add_tool(Fields function, std::string_view parameters, Talk& talk) {
  Tool tool{.name = function.text("name").value_or("")};
  if (tool.name.empty() || tool.name.size() > 256)
    return function.refuse("name", "must be a function's name, of 1 to 256 bytes");
  tool.description = function.text("description");
  const Json& schema = function.object(parameters);
  tool.parameters =
      schema.is_object() ? schema : Json{{"type", "object"}, {"properties", Json::object()}};
  if (function.has("strict")) tool.strict = function.flag("strict", false);
  talk.tools.push_back(std::move(tool));
}

void add_custom_tool(Fields custom, Talk& talk) {
  const std::string name = custom.text("name").value_or("");
  std::string description = custom.text("description").value_or("");
  Fields format = custom.within("format");
  // Chat completions nest what the grammar is, responses do not.
  Fields grammar = format.has("grammar") ? format.within("grammar") : format;
  if (const auto definition = grammar.text("definition"))
    description += fmt::format("\n\nThe input follows this grammar ({}):\n{}",
                               grammar.text("syntax").value_or("lark"), *definition);
  Json tool = {{"name", name},
               {"description", std::move(description)},
               {"parameters",
                {{"type", "object"},
                 {"properties", {{kCustomInput, {{"type", "string"}}}}},
                 {"required", {kCustomInput}},
                 {"additionalProperties", false}}}};
  add_tool(custom.at(tool, ""), "parameters", talk);
}

FunctionCall custom_call(std::string id, Fields& custom) {
  FunctionCall call{std::move(id), custom.text("name").value_or(""), ""};
  if (call.name.empty()) custom.refuse("name", "must name the tool that was called");
  call.arguments = dump_json({{kCustomInput, custom.text("input").value_or("")}});
  return call;
}

std::string custom_input(const FunctionCall& call) {
  const auto arguments = parse_json(call.arguments);
  if (!arguments || !json_at(*arguments, kCustomInput).is_string()) return call.arguments;
  return json_string(*arguments, kCustomInput);
}

void choose_function(Fields& body, std::string_view key, const std::string& name, Talk& talk) {
  talk.tool_choice = MustCall{name};
  if (name.empty() || std::ranges::count(talk.tools, name, &Tool::name) == 0)
    body.refuse(key, fmt::format("names the function '{}', which is not among the tools",
                                 clip_utf8(name, 100)));
}

void check_tool_choice(Fields& body, std::string_view key, const Talk& talk) {
  if (talk.tool_choice == ToolChoice(MustCall()) && talk.tools.empty())
    body.refuse(key, "requires a call, but there are no tools");
}

namespace {

// The fields that name a tool: in chat completions within an object of the type's name.
Fields named_tool(Fields& holder, bool nested) {
  const std::string type = holder.text("type").value_or("function");
  return nested && (type == "function" || type == "custom") ? holder.within(type) : holder;
}

// The others are not offered either: that is what keeps a model from calling them.
void allow_tools(Fields fields, bool nested, Talk& talk) {
  std::vector<Tool> allowed;
  for (Fields& each : fields.each("tools")) {
    Fields named = named_tool(each, nested);
    const std::string name = named.text("name").value_or("");
    const auto tool = std::ranges::find(talk.tools, name, &Tool::name);
    if (tool == talk.tools.end())
      return named.refuse(
          "name", fmt::format("is '{}', which is not among the tools", clip_utf8(name, 100)));
    allowed.push_back(*tool);
  }
  const std::string mode = fields.text("mode").value_or("auto");
  if (mode != "auto" && mode != "required") fields.refuse("mode", "must be auto or required");
  if (mode == "required") talk.tool_choice = MustCall();
  if (allowed.empty()) fields.refuse("tools", "must name at least one tool");
  talk.tools = std::move(allowed);
}

}  // namespace

void read_tool_choice(Fields& body, bool nested, Talk& talk) {
  const Json& choice = body.raw("tool_choice");
  if (choice.is_null()) return;
  if (choice.is_object()) {
    Fields fields = body.within("tool_choice");
    const std::string type = fields.text("type").value_or("function");
    if (type == "allowed_tools")
      return allow_tools(nested ? fields.within("allowed_tools") : fields, nested, talk);
    if (type != "function" && type != "custom")
      return fields.refuse("type", "must be function, custom or allowed_tools",
                           "unsupported_value");
    return choose_function(body, "tool_choice",
                           named_tool(fields, nested).text("name").value_or(""), talk);
  }
  const std::string word = body.text("tool_choice").value_or("auto");
  if (word == "none")
    talk.tool_choice = NoCall();
  else if (word == "required" || word == "any")
    talk.tool_choice = MustCall();
  else if (word != "auto")
    body.refuse("tool_choice", "must be none, auto, required or a function");
  check_tool_choice(body, "tool_choice", talk);
}

namespace {

// Templates know one system message, at the start.
void merge_leading_system(std::vector<Message>& messages) {
  const auto is_system = [](const Message& message) { return message.role == "system"; };
  const auto end = std::ranges::find_if_not(messages, is_system);
  if (end - messages.begin() < 2) return;
  for (auto it = messages.begin() + 1; it != end; ++it)
    messages.front().content.add(std::move(it->content), "\n\n");
  messages.erase(messages.begin() + 1, end);
}

// Templates want to know which function a result is of.
void name_tool_results(std::vector<Message>& messages) {
  std::map<std::string, std::string> names;
  for (Message& message : messages) {
    for (const FunctionCall& call : message.calls) names[call.id] = call.name;
    const auto known = names.find(message.call_id);
    if (message.role == "tool" && message.name.empty() && known != names.end())
      message.name = known->second;
  }
}

}  // namespace

void finish_talk(Fields& body, std::string_view key, Talk& talk) {
  merge_leading_system(talk.messages);
  name_tool_results(talk.messages);
  std::size_t media = 0;
  for (const Message& message : talk.messages)
    media += message.content.media().size() + message.content.documents().size();
  if (media > kMaxMedia)
    body.refuse(key, fmt::format("has {} pictures, sounds and documents; at most {} are taken",
                                 media, kMaxMedia));
}

ApiResult<Request> chat_request(const Json& json) {
  Fields body(json);
  Request request;
  Talk talk;
  request.time_limit =
      std::chrono::hours(24);  // how long an answer may take is the client's choice
  for (Fields& message : body.each("messages")) talk.messages.push_back(read_message(message));
  if (talk.messages.empty()) body.refuse("messages", "must have at least one message");
  finish_talk(body, "messages", talk);
  read_lengths(body, request);
  read_sampling(body, request);
  read_stop(body, "stop", request);
  read_logprobs(body, request);
  read_tools(body, talk);
  read_constraints(body, request);
  for (const char* key : {"web_search_options", "audio"})
    if (body.has(key))
      body.refuse(key, "cannot be had: this server writes text alone", "unsupported_value");
  read_prediction(body, request);
  request.keep_prefix = body.text("prompt_cache_retention").value_or("") == "24h";
  if (const Json& variables = body.object("chat_template_kwargs"); variables.is_object())
    talk.template_variables = variables;
  read_effort(body, "reasoning_effort", talk);
  for (const Json& modality : body.array("modalities"))
    if (modality != "text")
      body.refuse("modalities", "must be [\"text\"]: this server writes text alone",
                  "unsupported_value");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  request.ask = std::move(talk);
  return request;
}

}  // namespace lathe::serve
