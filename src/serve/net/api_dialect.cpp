// The table of APIs, and OpenAI's, whose JSON is chat_stream's.
#include "serve/net/api_dialect.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace lathe::serve {
namespace {

constexpr std::int64_t kBytesOfToken = 3, kTokensOfPicture = 2000;

std::string openai_path(const std::string&) {
  return "/chat/completions";
}

std::vector<std::string> openai_headers(const std::string& key) {
  if (key.empty()) return {};
  return {"Authorization: Bearer " + key};
}

Result<Json> openai_body(const Request& request, const std::string& model, PeerKind peer) {
  return request_json(request, model, peer);
}

std::unique_ptr<AnswerStream> openai_stream(std::function<void(const Delta&)> on_delta) {
  return std::make_unique<ChatStream>(std::move(on_delta));
}

// "34s", "0.5s"
Milliseconds seconds_text(const std::string& text) {
  if (!text.ends_with('s')) return Milliseconds(-1);
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  const bool whole = end == text.c_str() + text.size() - 1;
  if (!whole || !std::isfinite(seconds) || seconds < 0) return Milliseconds(-1);
  return Milliseconds(std::llround(std::min(seconds, 1e6) * 1000));
}

}  // namespace

const ApiDialect& openai_dialect() {
  static constexpr ApiDialect kOpenAi{"openai",       "/v1",       openai_path,
                                      openai_headers, openai_body, openai_stream};
  return kOpenAi;
}

std::span<const ApiDialect* const> api_dialects() {
  static const std::array<const ApiDialect*, 3> kDialects{&openai_dialect(), &anthropic_dialect(),
                                                          &gemini_dialect()};
  return kDialects;
}

const ApiDialect* find_api_dialect(std::string_view name) {
  const auto found = std::ranges::find(api_dialects(), name, &ApiDialect::name);
  return found == api_dialects().end() ? nullptr : *found;
}

std::int64_t estimated_tokens(const Request& request) {
  std::size_t bytes = 0, pictures = 0;
  const auto add = [&](const Content& content) {
    for (const ContentPart& part : content.parts())
      if (const auto* text = std::get_if<std::string>(&part))
        bytes += text->size();
      else
        ++pictures;
  };
  if (const Talk* talk = request.talk()) {
    for (const Message& message : talk->messages) {
      add(message.content);
      bytes += message.reasoning.size();
      for (const FunctionCall& call : message.calls)
        bytes += call.name.size() + call.arguments.size();
    }
    for (const Tool& tool : talk->tools) bytes += dump_json(to_json(tool)).size();
  }
  if (const auto* under = std::get_if<SchemaForm>(&request.form))
    bytes += dump_json(under->schema).size();
  return static_cast<std::int64_t>(bytes) / kBytesOfToken + 1 +
         kTokensOfPicture * static_cast<std::int64_t>(pictures);
}

Milliseconds retry_delay_in(std::string_view error_body) {
  const auto json = parse_json(error_body, {.max_bytes = 1 << 20});
  if (!json) return Milliseconds(-1);
  const Json& whole = json->is_array() && !json->empty() ? json->front() : *json;
  const Json& details = json_at(json_at(whole, "error"), "details");
  if (!details.is_array()) return Milliseconds(-1);
  for (const Json& detail : details)
    if (const std::string delay = json_string(detail, "retryDelay"); !delay.empty())
      return seconds_text(delay);
  return Milliseconds(-1);
}

}  // namespace lathe::serve
