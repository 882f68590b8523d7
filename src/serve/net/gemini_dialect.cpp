// Google's generateContent: the request, and the events of its answer.
#include <algorithm>

#include "ground/base/text.h"
#include "serve/net/api_dialect.h"
#include "serve/net/plain_stream.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxCalls = 4096;  // of one answer
// A call is handed back with what its model signed it with. Ids of calls are ours to choose, so
// the signature travels in them.
constexpr char kBeforeSignature = '.';

std::string generate_path(const std::string& model) {
  const bool whole = model.starts_with("models/") || model.starts_with("tunedModels/");
  return fmt::format("/{}{}:streamGenerateContent?alt=sse", whole ? "" : "models/", model);
}

std::vector<std::string> generate_headers(const std::string& key) {
  if (key.empty()) return {};
  return {"x-goog-api-key: " + key};
}

Result<Json> parts_of_content(const Content& content) {
  Json parts = Json::array();
  for (const ContentPart& part : content.parts()) {
    if (const auto* text = std::get_if<std::string>(&part)) {
      if (!text->empty()) parts.push_back({{"text", *text}});
      continue;
    }
    const auto& media = std::get<Media>(part);
    parts.push_back(
        {{"inlineData", {{"mimeType", media.media_type}, {"data", to_base64(*media.bytes)}}}});
  }
  return parts;
}

Result<Json> call_part(const FunctionCall& call) {
  auto args = parse_json(call.arguments.empty() ? "{}" : call.arguments);
  if (!args || !args->is_object())
    return invalid("the arguments of the call of '{}' are no JSON object",
                   clip_utf8(call.name, 100));
  Json part = {{"functionCall", {{"name", call.name}, {"args", *std::move(args)}}}};
  if (const auto at = call.id.find(kBeforeSignature); at != call.id.npos)
    part["thoughtSignature"] = call.id.substr(at + 1);
  return part;
}

// Calls have no ids there: a result is told by the function's name.
Result<Json> result_part(const Talk& talk, const Message& message) {
  std::string name = message.name;
  for (const Message& before : talk.messages)
    for (const FunctionCall& call : before.calls)
      if (name.empty() && call.id == message.call_id) name = call.name;
  if (name.empty())
    return invalid("the result of the call '{}' answers no call of this talk",
                   clip_utf8(message.call_id, 100));
  if (!message.content.is_text())
    return invalid("Google's API takes results of tools as text, and that of '{}' holds more",
                   clip_utf8(name, 100));
  return Json{
      {"functionResponse", {{"name", name}, {"response", {{"output", message.content.text()}}}}}};
}

Result<Json> parts_of_message(const Talk& talk, const Message& message) {
  if (message.role == "tool") {
    LATHE_TRY(Json result, result_part(talk, message));
    return Json::array({std::move(result)});
  }
  LATHE_TRY(Json parts, parts_of_content(message.content));
  for (const FunctionCall& call : message.calls) {
    LATHE_TRY(Json part, call_part(call));
    parts.push_back(std::move(part));
  }
  return parts;
}

Status put_contents(Json& body, const Talk& talk) {
  Json system = Json::array(), turns = Json::array();
  for (const Message& message : talk.messages) {
    if (message.role == "system") {
      if (!turns.empty() || !message.content.is_text())
        return invalid(
            "Google's API takes a system message of text alone, before all others; this talk has "
            "another");
      system.push_back({{"text", message.content.text()}});
      continue;
    }
    LATHE_TRY(Json parts, parts_of_message(talk, message));
    if (parts.empty()) continue;
    const char* role = message.role == "assistant" ? "model" : "user";
    if (!turns.empty() && json_string(turns.back(), "role") == role) {
      for (Json& part : parts) turns.back()["parts"].push_back(std::move(part));
    } else {
      turns.push_back({{"role", role}, {"parts", std::move(parts)}});
    }
  }
  if (!system.empty()) body["systemInstruction"] = {{"parts", std::move(system)}};
  body["contents"] = std::move(turns);
  return {};
}

void put_functions(Json& body, const Talk& talk) {
  if (talk.tools.empty()) return;
  Json functions = Json::array();
  for (const Tool& tool : talk.tools) {
    Json& each = functions.emplace_back(Json{{"name", tool.name}});
    if (tool.description) each["description"] = *tool.description;
    if (tool.parameters.is_object()) each["parametersJsonSchema"] = tool.parameters;
  }
  body["tools"] = Json::array({{{"functionDeclarations", std::move(functions)}}});
  Json config = {{"mode", "AUTO"}};
  if (std::holds_alternative<NoCall>(talk.tool_choice)) config["mode"] = "NONE";
  if (const auto* must = std::get_if<MustCall>(&talk.tool_choice)) {
    config["mode"] = "ANY";
    if (!must->tool.empty()) config["allowedFunctionNames"] = Json::array({must->tool});
  }
  body["toolConfig"] = {{"functionCallingConfig", std::move(config)}};
}

Json generation_config(const Request& request) {
  Json config = Json::object();
  const auto put = [&](const char* name, const auto& value) {
    if (value) config[name] = *value;
  };
  if (request.max_tokens > 0) config["maxOutputTokens"] = request.max_tokens;
  const Sampling& sampling = request.sampling;
  put("temperature", sampling.temperature);
  put("topP", sampling.top_p);
  put("topK", sampling.top_k);
  put("seed", sampling.seed);
  put("frequencyPenalty", sampling.frequency_penalty);
  put("presencePenalty", sampling.presence_penalty);
  if (!request.stop.empty()) config["stopSequences"] = request.stop;
  const auto* under = std::get_if<SchemaForm>(&request.form);
  if (under != nullptr || std::holds_alternative<AnyJsonForm>(request.form))
    config["responseMimeType"] = "application/json";
  if (under != nullptr) config["responseJsonSchema"] = under->schema;
  return config;
}

Result<Json> generate_body(const Request& request, const std::string&, PeerKind) {
  if (request.top_logprobs >= 0) return invalid("Google's API is not asked for log probabilities");
  if (request.candidates != 1) return invalid("Google's API is asked for one answer at a time");
  const Talk& talk = *request.talk();
  Json body = Json::object();
  LATHE_TRY_STATUS(put_contents(body, talk));
  put_functions(body, talk);
  if (Json config = generation_config(request); !config.empty())
    body["generationConfig"] = std::move(config);
  return body;
}

bool is_filtered(std::string_view reason) {
  return reason == "SAFETY" || reason == "RECITATION" || reason == "BLOCKLIST" ||
         reason == "PROHIBITED_CONTENT" || reason == "SPII" || reason == "LANGUAGE" ||
         reason == "IMAGE_SAFETY";
}

class GenerateStream : public PlainStream {
 public:
  using PlainStream::PlainStream;

 protected:
  Status take(const Json& event) override {
    // What is not asked as a stream of events comes as an array of them.
    if (event.is_array()) {
      for (const Json& each : event) LATHE_TRY_STATUS(take_one(each));
      return {};
    }
    return take_one(event);
  }

 private:
  Status take_one(const Json& event) {
    if (const Json& error = json_at(event, "error"); !error.is_null()) {
      const auto code = json_int(error, "code", 0);
      refused_ = code >= 400 && code < 500 && code != 408 && code != 409 && code != 429;
      return std::unexpected(broken_off(json_string(error, "message")));
    }
    if (reply_.model.empty()) reply_.model = json_string(event, "modelVersion");
    count(json_at(event, "usageMetadata"));
    if (!json_string(json_at(event, "promptFeedback"), "blockReason").empty())
      end(FinishReason::kContentFilter);
    const Json& candidates = json_at(event, "candidates");
    if (!candidates.is_array() || candidates.empty()) return {};
    return candidate(candidates.front());
  }

  void count(const Json& usage) {
    if (!usage.is_object()) return;
    Usage& sum = reply_.usage;
    sum.prompt_tokens =
        count_in(usage, "promptTokenCount") + count_in(usage, "toolUsePromptTokenCount");
    sum.cached_tokens = count_in(usage, "cachedContentTokenCount");
    sum.reasoning_tokens = count_in(usage, "thoughtsTokenCount");
    sum.completion_tokens = count_in(usage, "candidatesTokenCount") + sum.reasoning_tokens;
    sum.counted = usage.contains("promptTokenCount");
  }

  Status candidate(const Json& candidate) {
    const Json& parts = json_at(json_at(candidate, "content"), "parts");
    if (parts.is_array())
      for (const Json& each : parts) LATHE_TRY_STATUS(part(each));
    const std::string reason = json_string(candidate, "finishReason");
    if (reason.empty()) return {};
    if (reason == "STOP")
      end(reply_.calls.empty() ? FinishReason::kStop : FinishReason::kToolCalls);
    else if (reason == "MAX_TOKENS")
      end(FinishReason::kLength);
    else if (is_filtered(reason))
      end(FinishReason::kContentFilter);
    else
      return std::unexpected(broken_off(reason));
    return {};
  }

  Status part(const Json& part) {
    const Json& call = json_at(part, "functionCall");
    if (!call.is_object()) {
      std::string text = json_string(part, "text");
      return json_bool(part, "thought", false) ? say({}, std::move(text))
                                               : say(std::move(text), {});
    }
    if (reply_.calls.size() >= kMaxCalls) return invalid("the reply calls too many tools");
    const Json& args = json_at(call, "args");
    FunctionCall made{fmt::format("call_{}", reply_.calls.size()), json_string(call, "name"),
                      args.is_object() ? dump_json(args) : "{}"};
    if (const std::string signature = json_string(part, "thoughtSignature"); !signature.empty())
      made.id += kBeforeSignature + signature;
    LATHE_TRY_STATUS(grow(made.id.size() + made.name.size() + made.arguments.size()));
    reply_.calls.push_back(std::move(made));
    return {};
  }
};

std::unique_ptr<AnswerStream> generate_stream(std::function<void(const Delta&)> on_delta) {
  return std::make_unique<GenerateStream>(std::move(on_delta));
}

}  // namespace

const ApiDialect& gemini_dialect() {
  static constexpr ApiDialect kGemini{"gemini",         "/v1beta",     generate_path,
                                      generate_headers, generate_body, generate_stream};
  return kGemini;
}

}  // namespace lathe::serve
