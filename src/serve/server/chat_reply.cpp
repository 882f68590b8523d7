// Answers as chat completions.
#include "serve/server/chat_reply.h"

#include "ground/base/text.h"
#include "serve/server/names.h"

namespace lathe::serve {
namespace {

constexpr double kNever = -9999;  // JSON has no infinity

Json token_json(const std::string& token, double logprob) {
  Json bytes = Json::array();
  for (const char c : token) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", make_valid_utf8(token)},
          {"logprob", logprob > kNever ? logprob : kNever},
          {"bytes", std::move(bytes)}};
}

}  // namespace

Usage usage_of(const Replies& replies) {
  Usage sum;
  for (const auto& candidates : replies)
    for (const Reply& reply : candidates) sum += reply.usage;
  return sum;
}

void add_warnings(Json& answer, const Replies& replies) {
  for (const auto& candidates : replies)
    for (const HostReply& reply : candidates)
      for (const std::string& warning : reply.warnings) answer["warnings"].push_back(warning);
}

Json chat_usage_json(const Usage& usage) {
  Json json = {{"prompt_tokens", usage.prompt_tokens},
               {"completion_tokens", usage.completion_tokens},
               {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
               {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
               {"completion_tokens_details",
                {{"reasoning_tokens", usage.reasoning_tokens},
                 {"accepted_prediction_tokens", usage.accepted_tokens},
                 {"rejected_prediction_tokens", usage.rejected_tokens}}}};
  if (usage.busy_us) json["busy_us"] = *usage.busy_us;
  if (usage.millijoules) {
    json["millijoules"] = *usage.millijoules;
    json["energy_scope"] = usage.energy_scope;
  }
  return json;
}

Json tool_call_json(const FunctionCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

Json logprob_json(const LogprobEntry& entry) {
  Json json = token_json(entry.token, entry.logprob);
  json["top_logprobs"] = Json::array();
  for (const auto& [token, logprob] : entry.top)
    json["top_logprobs"].push_back(token_json(token, logprob));
  return json;
}

Json chat_logprobs_json(std::span<const LogprobEntry> entries) {
  Json content = Json::array();
  for (const LogprobEntry& entry : entries) content.push_back(logprob_json(entry));
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

std::string_view chat_finish_reason(const Reply& reply) {
  if (!reply.calls.empty()) return "tool_calls";
  switch (reply.finish) {
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContentFilter:
      return "content_filter";
    default:
      return "stop";
  }
}

FunctionCall with_id(FunctionCall call) {
  if (call.id.empty()) call.id = fresh_id("call_");
  return call;
}

}  // namespace lathe::serve
