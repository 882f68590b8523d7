// Errors in the dialects of three APIs.
#include "serve/server/api_error.h"

#include "serve/server/names.h"

namespace lathe::serve {
namespace {

constexpr int kRetrySeconds = 2;

// What of a request an error is about; each API has its own word for it.
enum class Part {
  kNone,
  kPrompt,
  kSchema,
  kTools,
  kGrammar,
  kBias,
  kCandidates,
  kSuffix,
  kSound,
  kLanguage,
  kVoice,
  kModel
};

// The host's codes, and what clients see of them.
struct CodeRow {
  std::string_view host;
  int status;
  std::string_view code;
  Part part;
};
constexpr CodeRow kCodes[] = {
    {"model_not_found", 404, "model_not_found", Part::kModel},
    {"model_load_failed", 500, "model_load_failed", Part::kModel},
    {"context_length_exceeded", 400, "context_length_exceeded", Part::kPrompt},
    {"queue_full", 429, "queue_full", Part::kNone},
    {"does_not_fit", 507, "does_not_fit", Part::kNone},
    {"model_lost", 503, "model_lost", Part::kNone},
    {"shutting_down", 503, "shutting_down", Part::kNone},
    {"unsupported_value", 400, "unsupported_value", Part::kNone},
    {"unsupported_messages", 400, "unsupported_value", Part::kPrompt},
    {"unsupported_schema", 400, "unsupported_value", Part::kSchema},
    {"unsupported_tools", 400, "unsupported_value", Part::kTools},
    {"unsupported_grammar", 400, "unsupported_value", Part::kGrammar},
    {"unsupported_bias", 400, "unsupported_value", Part::kBias},
    {"unsupported_candidates", 400, "unsupported_value", Part::kCandidates},
    {"unsupported_suffix", 400, "unsupported_value", Part::kSuffix},
    {"unsupported_sound", 400, "unsupported_value", Part::kSound},
    {"unsupported_language", 400, "unsupported_value", Part::kLanguage},
    {"unsupported_voice", 400, "unsupported_value", Part::kVoice},
    {"unsupported_text", 400, "unsupported_value", Part::kPrompt},
};

std::string_view param_of(Part part, std::string_view path) {
  const auto is = [&](std::string_view end) { return path.ends_with(end); };
  switch (part) {
    case Part::kNone:
      return "";
    case Part::kPrompt:
      if (is("/chat/completions") || is("/messages") || is("/api/chat")) return "messages";
      if (is("/apply-template") || is("/count_tokens")) return "messages";
      if (is("/tokenize")) return "content";
      return is("/completions") || path.starts_with("/api/generate") ? "prompt" : "input";
    case Part::kSchema:
      if (path.starts_with("/api/")) return "format";
      if (is("/messages")) return "output_config.format";
      return is("/completions") ? "response_format" : "text.format";
    case Part::kTools:
      return "tools";
    case Part::kGrammar:
      return "grammar";
    case Part::kBias:
      return "logit_bias";
    case Part::kCandidates:
      return "n";
    case Part::kSuffix:
      return "suffix";
    case Part::kSound:
      return "file";
    case Part::kLanguage:
      return "language";
    case Part::kVoice:
      return "voice";
    case Part::kModel:
      return "model";
  }
  return "";
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return 400;
    case ErrorKind::kNotFound:
      return 404;
    case ErrorKind::kUnavailable:
      return 503;
    case ErrorKind::kDenied:
      return 403;
    case ErrorKind::kTimeout:
      return 504;
    case ErrorKind::kCancelled:
      return 499;
  }
  return 500;
}

std::string_view openai_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

std::string_view anthropic_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 404) return "not_found_error";
  if (status == 413) return "request_too_large";
  if (status == 429) return "rate_limit_error";
  if (status == 503) return "overloaded_error";
  return status < 500 ? "invalid_request_error" : "api_error";
}

// Claude Code makes its talk shorter when it reads these words.
std::string anthropic_message(const ApiError& error) {
  const bool too_long = error.code == "context_length_exceeded";
  return too_long ? "prompt is too long: " + error.message : error.message;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

Dialect dialect_of(std::string_view path) {
  while (path.starts_with("/v1/")) path.remove_prefix(3);
  if (path == "/messages" || path.starts_with("/messages/")) return Dialect::kAnthropic;
  if (path.starts_with("/api/")) return Dialect::kOllama;
  return Dialect::kOpenAi;
}

ApiError api_error(const Error& error, std::string_view path) {
  ApiError api{status_of(error.kind), error.message, {}, error.code};
  for (const CodeRow& row : kCodes) {
    if (row.host != error.code) continue;
    api.status = row.status;
    api.code = row.code;
    api.param = param_of(row.part, path);
  }
  if (api.status == 429 || api.status == 503) api.retry_after = kRetrySeconds;
  return api;
}

Json error_json(Dialect dialect, const ApiError& error) {
  switch (dialect) {
    case Dialect::kOpenAi:
      return {{"error",
               {{"message", error.message},
                {"type", openai_type(error.status)},
                {"param", text_or_null(error.param)},
                {"code", text_or_null(error.code)}}}};
    case Dialect::kAnthropic:
      return {{"type", "error"},
              {"error",
               {{"type", anthropic_type(error.status)}, {"message", anthropic_message(error)}}},
              {"request_id", fresh_id("req_")}};
    case Dialect::kOllama:
      return {{"error", error.message}};
  }
  return {};
}

HttpReply error_reply(Dialect dialect, const ApiError& error) {
  const Json json = error_json(dialect, error);
  HttpReply reply{error.status, dump_json(json)};
  if (dialect == Dialect::kAnthropic)
    reply.headers.emplace_back("request-id", json_string(json, "request_id"));
  if (error.retry_after > 0)
    reply.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  // Of a quota, clients would try again within seconds, whatever Retry-After says.
  const bool in_vain = error.code == "quota_exceeded" ||
                       (error.retry_after == 0 &&
                        (error.status >= 500 || error.status == 408 || error.status == 409));
  if (in_vain) reply.headers.emplace_back("x-should-retry", "false");
  if (error.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

}  // namespace lathe::serve
