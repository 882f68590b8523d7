#include "serve/net/chat_stream.h"

#include <array>

#include "ground/base/text.h"

namespace lathe {
namespace {

constexpr std::size_t kMaxReplyBytes = std::size_t{32} << 20;
constexpr std::array<std::pair<std::string_view, FinishReason>, 5> kFinishReasons{
    {{"stop", FinishReason::kStop},
     {"length", FinishReason::kLength},
     {"tool_calls", FinishReason::kToolCalls},
     {"function_call", FinishReason::kToolCalls},
     {"content_filter", FinishReason::kContentFilter}}};

Usage usage_of(const Json& usage) {
  Usage counted;
  counted.prompt_tokens = json_int(usage, "prompt_tokens", 0);
  counted.completion_tokens = json_int(usage, "completion_tokens", 0);
  counted.cached_tokens = json_int(json_at(usage, "prompt_tokens_details"), "cached_tokens", 0);
  counted.counted = usage.contains("prompt_tokens") && usage.contains("completion_tokens");
  return counted;
}

LogprobEntry logprob_of(const Json& entry) {
  LogprobEntry logprob{json_string(entry, "token"), json_number(entry, "logprob", 0), {}};
  for (const Json& top : json_at(entry, "top_logprobs"))
    logprob.top.emplace_back(json_string(top, "token"), json_number(top, "logprob", 0));
  return logprob;
}

}  // namespace

std::string chat_request_body(const Request& request, const std::string& model) {
  Json messages = Json::array();
  for (const Message& message : request.messages)
    messages.push_back({{"role", message.role}, {"content", message.content}});
  Json body = {{"model", model},
               {"messages", std::move(messages)},
               {"max_tokens", request.max_tokens},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  if (request.sampling.temperature) body["temperature"] = *request.sampling.temperature;
  if (request.sampling.top_p) body["top_p"] = *request.sampling.top_p;
  if (request.sampling.seed) body["seed"] = *request.sampling.seed;
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (request.schema)
    body["response_format"] = {
        {"type", "json_schema"},
        {"json_schema", {{"name", "reply"}, {"strict", true}, {"schema", *request.schema}}}};
  if (request.top_logprobs >= 0) {
    body["logprobs"] = true;
    body["top_logprobs"] = request.top_logprobs;
  }
  return dump_json(body);
}

std::string error_message_of(std::string_view body) {
  if (const auto json = parse_json(body, {.max_bytes = 1 << 20})) {
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
  const auto json = parse_json(data, {.max_bytes = std::size_t{8} << 20});
  if (!json) return invalid("an event of the stream is wrong: {}", json.error().message);
  if (!json_at(*json, "error").is_null())
    return fail(ErrorKind::kUnavailable, "the server broke off its answer: {}",
                error_message_of(data));
  begun_ = true;
  if (reply_.model.empty()) reply_.model = json_string(*json, "model");
  if (const Json& usage = json_at(*json, "usage"); usage.is_object())
    reply_.usage = usage_of(usage);
  const Json& choices = json_at(*json, "choices");
  if (!choices.is_array()) return {};
  for (const Json& each : choices)
    if (json_int(each, "index", 0) == 0) LATHE_TRY_STATUS(choice(each));
  return {};
}

Status ChatStream::choice(const Json& choice) {
  const Json& delta = json_at(choice, "delta");
  Delta part{json_string(delta, "content"), json_string(delta, "reasoning_content")};
  if (part.reasoning.empty()) part.reasoning = json_string(delta, "reasoning");
  reply_.text += part.text;
  reply_.reasoning += part.reasoning;
  if (reply_.text.size() + reply_.reasoning.size() > kMaxReplyBytes)
    return invalid("the reply is larger than {} bytes", kMaxReplyBytes);
  if (on_delta_ && !(part.text.empty() && part.reasoning.empty())) on_delta_(part);
  const Json& logprobs = json_at(json_at(choice, "logprobs"), "content");
  if (logprobs.is_array())
    for (const Json& entry : logprobs) reply_.logprobs.push_back(logprob_of(entry));
  const std::string reason = json_string(choice, "finish_reason");
  if (reason.empty()) return {};
  const auto known =
      std::ranges::find(kFinishReasons, reason, &std::pair<std::string_view, FinishReason>::first);
  if (known == kFinishReasons.end())
    return invalid("the reply ended for an unknown reason: '{}'", clip_utf8(reason, 40));
  reply_.finish = known->second;
  finished_ = true;
  return {};
}

Result<Reply> ChatStream::finish() && {
  if (!finished_)
    return fail(ErrorKind::kUnavailable,
                "the reply was cut off: the stream ended after {} bytes of text without a finish "
                "reason",
                reply_.text.size());
  return std::move(reply_);
}

}  // namespace lathe
