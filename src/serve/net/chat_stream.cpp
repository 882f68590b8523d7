// One chat completion of a server: the request, the stream, what breaks.
#include "serve/net/chat_stream.h"

#include <array>

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

constexpr std::size_t kMaxReplyBytes = std::size_t{32} << 20;
constexpr std::array<std::pair<std::string_view, FinishReason>, 11> kFinishReasons{
    {{"stop", FinishReason::kStop},
     {"eos", FinishReason::kStop},
     {"eos_token", FinishReason::kStop},
     {"end_turn", FinishReason::kStop},
     {"stop_sequence", FinishReason::kStop},
     {"length", FinishReason::kLength},
     {"max_tokens", FinishReason::kLength},
     {"tool_calls", FinishReason::kToolCalls},
     {"function_call", FinishReason::kToolCalls},
     {"content_filter", FinishReason::kContentFilter},
     {"refusal", FinishReason::kContentFilter}}};

// Fields that must not be left out: without them it is another question.
constexpr std::array<std::string_view, 9> kEssential{
    "model", "messages", "stream", "tools", "tool_choice", "stop", "grammar", "prompt", "size"};
constexpr std::array<std::string_view, 13> kWordsOfRefusal{
    "unrecognized",  "unrecognised",    "not recognized",    "unknown",    "unsupported",
    "not supported", "not permitted",   "not allowed",       "unexpected", "does not support",
    "extra inputs",  "extra_forbidden", "additional propert"};

bool holds_word(std::string_view text, std::string_view word) {
  const auto part_of_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const auto end = at + word.size();
    if ((at == 0 || !part_of_name(text[at - 1])) &&
        (end == text.size() || !part_of_name(text[end])))
      return true;
  }
  return false;
}

// The server's own words in an error body: not what it quotes of the request.
std::string own_words(std::string_view body) {
  const auto json = parse_json(body, {.max_bytes = 1 << 20});
  if (!json) return clip_utf8(make_valid_utf8(body), 2000);
  const Json& error = json_at(*json, "error");
  const Json& details = json_at(*json, "detail");
  std::string words = json_string(*json, "message") + "\n" + json_string(*json, "detail") + "\n" +
                      json_string(error, "message") + "\n" +
                      (error.is_string() ? error.get<std::string>() : "");
  for (const char* key : {"param", "code", "type"}) words += "\n" + json_string(error, key);
  if (!details.is_array()) return words;
  for (const Json& detail : details) {  // of FastAPI: one for each field
    words += "\n" + json_string(detail, "msg") + " " + json_string(detail, "type");
    for (const Json& part : json_at(detail, "loc"))
      if (part.is_string()) words += " " + part.get<std::string>();
  }
  return words;
}

// Its bytes, where the server tells them: a token may be part of a character.
std::string token_of(const Json& entry) {
  const Json& bytes = json_at(entry, "bytes");
  if (!bytes.is_array()) return json_string(entry, "token");
  std::string token;
  for (const Json& byte : bytes)
    if (byte.is_number_unsigned()) token += static_cast<char>(byte.get<std::uint8_t>());
  return token;
}

LogprobEntry logprob_of(const Json& entry) {
  LogprobEntry logprob{token_of(entry), json_number(entry, "logprob", 0), {}};
  for (const Json& top : json_at(entry, "top_logprobs"))
    logprob.top.emplace_back(token_of(top), json_number(top, "logprob", 0));
  return logprob;
}

// "audio/wav" → "wav"; what OpenAI's API calls mp3 has another name elsewhere.
std::string sound_format(std::string_view media_type) {
  const std::string format(media_type.substr(media_type.find('/') + 1));
  return format == "mpeg" ? "mp3" : format;
}

Json part_json(const ContentPart& part) {
  if (const auto* text = std::get_if<std::string>(&part))
    return {{"type", "text"}, {"text", *text}};
  if (const auto* document = std::get_if<Document>(&part))
    return {{"type", "file"},
            {"file",
             {{"filename", document->name},
              {"file_data", fmt::format("data:{};base64,{}", document->media_type(),
                                        to_base64(*document->bytes))}}}};
  const auto& media = std::get<Media>(part);
  std::string data = to_base64(*media.bytes);
  if (media.kind == Media::Kind::kPicture)
    return {{"type", "image_url"},
            {"image_url", {{"url", fmt::format("data:{};base64,{}", media.media_type, data)}}}};
  return {{"type", "input_audio"},
          {"input_audio", {{"data", std::move(data)}, {"format", sound_format(media.media_type)}}}};
}

// A text as a string: not every server knows parts.
Json content_json(const Content& content) {
  if (content.is_text()) return content.text();
  Json parts = Json::array();
  for (const ContentPart& part : content.parts()) parts.push_back(part_json(part));
  return parts;
}

Json message_json(const Message& message) {
  Json json = {{"role", message.role}, {"content", content_json(message.content)}};
  if (!message.reasoning.empty()) json["reasoning_content"] = message.reasoning;
  for (const FunctionCall& call : message.calls) {
    json["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  if (!message.call_id.empty()) json["tool_call_id"] = message.call_id;
  return json;
}

void put_sampling(Json& body, const Sampling& sampling, bool extras) {
  const auto put = [&](const char* name, const auto& value) {
    if (value) body[name] = *value;
  };
  put("temperature", sampling.temperature);
  put("top_p", sampling.top_p);
  put("frequency_penalty", sampling.frequency_penalty);
  put("presence_penalty", sampling.presence_penalty);
  put("seed", sampling.seed);
  for (const auto& [id, bias] : sampling.logit_bias) body["logit_bias"][std::to_string(id)] = bias;
  if (!extras) return;
  put("top_k", sampling.top_k);
  put("min_p", sampling.min_p);
  put("typical_p", sampling.typical_p);
  put("repeat_penalty", sampling.repeat_penalty);
}

void put_tools(Json& body, const Talk& talk) {
  if (talk.tools.empty()) return;
  for (const Tool& tool : talk.tools) body["tools"].push_back(to_json(tool));
  body["parallel_tool_calls"] = talk.parallel_calls;
  if (std::holds_alternative<NoCall>(talk.tool_choice)) body["tool_choice"] = "none";
  const auto* must = std::get_if<MustCall>(&talk.tool_choice);
  if (must == nullptr) return;
  if (must->tool.empty())
    body["tool_choice"] = "required";
  else
    body["tool_choice"] = {{"type", "function"}, {"function", {{"name", must->tool}}}};
}

void put_ask(Json& body, const Talk& talk, bool extras) {
  body["messages"] = Json::array();
  for (const Message& message : talk.messages) body["messages"].push_back(message_json(message));
  put_tools(body, talk);
  if (extras && talk.template_variables.is_object())
    body["chat_template_kwargs"] = talk.template_variables;
}

void put_ask(Json& body, const TextPrompt& prompt, bool) {
  body["prompt"] = prompt.text;
  if (!prompt.suffix.empty()) body["suffix"] = prompt.suffix;
}

void put_ask(Json& body, const TokenPrompt& prompt, bool) {
  body["prompt"] = prompt.ids;
}

// Of texts a number, of talks two fields.
void put_logprobs(Json& body, const Request& request) {
  if (request.top_logprobs < 0) return;
  if (request.talk() == nullptr) {
    body["logprobs"] = request.top_logprobs;
  } else {
    body["logprobs"] = true;
    body["top_logprobs"] = request.top_logprobs;
  }
}

// A grammar is no field of OpenAI's.
void put_form(Json& body, const AnswerForm& form, bool extras) {
  if (const auto* under = std::get_if<SchemaForm>(&form))
    // Whoever asks looks at the whole answer: what a server cannot keep need not be refused.
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "reply"}, {"strict", false}, {"schema", under->schema}}}};
  if (std::holds_alternative<AnyJsonForm>(form))
    body["response_format"] = {{"type", "json_object"}};
  if (const auto* under = std::get_if<GrammarForm>(&form); under != nullptr && extras)
    body["grammar"] = under->gbnf;
}

}  // namespace

Usage usage_of(const Json& usage) {
  Usage counted;
  counted.prompt_tokens = json_int(usage, "prompt_tokens", 0);
  counted.completion_tokens = json_int(usage, "completion_tokens", 0);
  counted.cached_tokens = json_int(json_at(usage, "prompt_tokens_details"), "cached_tokens", 0);
  const Json& details = json_at(usage, "completion_tokens_details");
  counted.reasoning_tokens = json_int(details, "reasoning_tokens", 0);
  counted.accepted_tokens = json_int(details, "accepted_prediction_tokens", 0);
  counted.rejected_tokens = json_int(details, "rejected_prediction_tokens", 0);
  counted.counted = usage.contains("prompt_tokens") && usage.contains("completion_tokens");
  return counted;
}

std::optional<FinishReason> finish_reason_of(std::string_view name) {
  const auto known = std::ranges::find(kFinishReasons, to_lower_ascii(name),
                                       &std::pair<std::string_view, FinishReason>::first);
  return known == kFinishReasons.end() ? std::nullopt : std::optional(known->second);
}

Json request_json(const Request& request, const std::string& model, PeerKind peer) {
  const bool extras = peer != PeerKind::kCloud;
  Json body = {{"model", model}};
  std::visit([&](const auto& ask) { put_ask(body, ask, extras); }, request.ask);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  if (request.max_tokens > 0) body["max_tokens"] = request.max_tokens;
  put_sampling(body, request.sampling, extras);
  if (!request.stop.empty()) body["stop"] = request.stop;
  put_form(body, request.form, extras);
  put_logprobs(body, request);
  if (peer != PeerKind::kLathe) return body;
  if (!request.prediction.empty())
    body["prediction"] = {{"type", "content"}, {"content", request.prediction}};
  if (request.keep_prefix) body["prompt_cache_retention"] = "24h";
  return body;
}

std::vector<std::string> refused_fields(const Json& request, std::string_view error_body) {
  const std::string words = own_words(error_body), lower = to_lower_ascii(words);
  std::vector<std::string> fields;
  if (std::ranges::none_of(kWordsOfRefusal,
                           [&](std::string_view word) { return lower.find(word) != lower.npos; }))
    return fields;
  for (const auto& [name, value] : request.items())
    if (std::ranges::find(kEssential, name) == kEssential.end() && holds_word(words, name))
      fields.push_back(name);
  return fields;
}

void leave_out(Json& request, const std::set<std::string>& fields) {
  for (const std::string& field : fields) {
    if (field == "max_tokens" && request.contains(field) &&
        !fields.contains("max_completion_tokens"))
      request["max_completion_tokens"] = request[field];
    request.erase(field);
  }
}

std::string error_message_of(std::string_view body) {
  if (const auto json = parse_json(body, {.max_bytes = 1 << 20})) {
    if (json->is_array() && !json->empty()) return error_message_of(dump_json(json->front()));
    const Json& error = json_at(*json, "error");
    for (const std::string& text :
         {json_string(error, "message"), error.is_string() ? error.get<std::string>() : "",
          json_string(*json, "message"), json_string(*json, "detail")})
      if (!text.empty()) return clip_utf8(text, 500);
  }
  return clip_utf8(make_valid_utf8(trim(body)), 200);
}

Status ChatStream::event(std::string_view data) {
  if (done_) return {};
  if (trim(data) == "[DONE]") {
    done_ = true;
    return {};
  }
  const auto json = parse_json(data, {.max_bytes = kMaxReplyBytes});
  if (!json)
    return fail(ErrorKind::kUnavailable, "an event of the answer is wrong: {}",
                json.error().message);
  if (const Json& error = json_at(*json, "error"); !error.is_null()) {
    const auto code = json_int(error, "code", 0);
    refused_ = code >= 400 && code < 500 && code != 408 && code != 409 && code != 429;
    return fail(ErrorKind::kUnavailable, "the server broke off its answer: {}",
                error_message_of(data));
  }
  if (reply_.model.empty()) reply_.model = json_string(*json, "model");
  if (const Json& usage = json_at(*json, "usage"); usage.is_object())
    reply_.usage = usage_of(usage);
  const Json& choices = json_at(*json, "choices");
  if (!choices.is_array()) return {};
  for (const Json& each : choices)
    if (json_int(each, "index", 0) == 0) LATHE_TRY_STATUS(choice(each));
  return {};
}

// Pieces of calls: the first one of a call has its name, the others go on with its arguments.
void ChatStream::calls(const Json& deltas) {
  if (!deltas.is_array()) return;
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    const Json& piece = deltas[i];
    const Json& function = json_at(piece, "function");
    const std::string id = json_string(piece, "id"), name = json_string(function, "name");
    const auto index = static_cast<std::size_t>(
        std::max<std::int64_t>(0, json_int(piece, "index", std::int64_t(i))));
    if (index >= reply_.calls.size()) {
      if (name.empty()) continue;
      reply_.calls.push_back({id, name, ""});
    }
    FunctionCall& call = reply_.calls[std::min(index, reply_.calls.size() - 1)];
    call.arguments += json_string(function, "arguments");
  }
}

void ChatStream::text(SplitAnswer part, std::string reasoning, std::vector<LogprobEntry> logprobs) {
  Delta delta{std::move(part.text), std::move(reasoning) + part.thoughts};
  reply_.text += delta.text;
  reply_.reasoning += delta.reasoning;
  if (all_logprobs_ || !delta.text.empty()) delta.logprobs = std::move(logprobs);
  std::ranges::copy(delta.logprobs, std::back_inserter(reply_.logprobs));
  if (!on_delta_ || (delta.text.empty() && delta.reasoning.empty() && delta.logprobs.empty()))
    return;
  heard_ = true;
  on_delta_(delta);
}

Status ChatStream::choice(const Json& choice) {
  const Json& delta = json_at(choice, choice.contains("message") ? "message" : "delta");
  std::string reasoning = json_string(delta, "reasoning_content");
  if (reasoning.empty()) reasoning = json_string(delta, "reasoning");
  std::vector<LogprobEntry> logprobs;
  for (const Json& entry : json_at(json_at(choice, "logprobs"), "content"))
    logprobs.push_back(logprob_of(entry));
  text(splitter_.push(json_string(delta, "content")), std::move(reasoning), std::move(logprobs));
  if (reply_.text.size() + reply_.reasoning.size() > kMaxReplyBytes) {
    refused_ = true;
    return invalid("the reply is larger than {} bytes", kMaxReplyBytes);
  }
  calls(json_at(delta, "tool_calls"));
  const std::string reason = to_lower_ascii(json_string(choice, "finish_reason"));
  if (reason.empty()) return {};
  if (reason == "error" || reason == "abort")
    return fail(ErrorKind::kUnavailable, "the server broke off its answer: '{}'", reason);
  const auto known = finish_reason_of(reason);
  if (!known) {
    refused_ = true;
    return fail(ErrorKind::kUnavailable, "the reply ended for an unknown reason: '{}'",
                clip_utf8(reason, 40));
  }
  reply_.finish = *known;
  finished_ = true;
  return {};
}

Result<Reply> ChatStream::finish() {
  if (!finished_)
    return fail(ErrorKind::kUnavailable,
                "the reply was cut off: the stream ended after {} bytes of text without a finish "
                "reason",
                reply_.text.size());
  text(splitter_.finish(), {});
  // Only now they are whole.
  if (on_delta_ && !reply_.calls.empty())
    on_delta_({.text = "", .reasoning = "", .calls = reply_.calls});
  // Only a whole answer shows that it began within its thinking: too late for who listens.
  if (!on_delta_ && reply_.reasoning.empty()) {
    SplitAnswer split = split_thoughts(reply_.text);
    reply_.text = std::move(split.text);
    reply_.reasoning = std::move(split.thoughts);
  }
  return std::move(reply_);
}

}  // namespace lathe::serve
