// The APIs of models that a worker can speak: how a request becomes a body, and the events of an
// answer a reply. To add one: a file here, and a row in api_dialect.cpp.
#pragma once

#include <memory>

#include "serve/net/chat_stream.h"

namespace lathe::serve {

struct ApiDialect {
  std::string_view name;  // as workers.toml says it
  const char* base_path;  // of a base URL that has none
  // Of the POST that asks for an answer, behind the base URL, and its query.
  std::string (*path)(const std::string& model);
  std::vector<std::string> (*headers)(const std::string& key);  // "Name: value"
  // The body, streamed. Errors: what this API cannot be asked for. How tokens are drawn, and the
  // form of an answer, are wishes: what it has no field for is left out.
  Result<Json> (*body)(const Request& request, const std::string& model, PeerKind peer);
  std::unique_ptr<AnswerStream> (*stream)(std::function<void(const Delta&)> on_delta);
};

const ApiDialect& openai_dialect();
const ApiDialect& anthropic_dialect();
const ApiDialect& gemini_dialect();

std::span<const ApiDialect* const> api_dialects();
const ApiDialect* find_api_dialect(std::string_view name);  // null: none of them

// What the prompt comes to, for who has to say before anybody counted: a token has three bytes of
// text or more in nearly all of it, and a picture is taken for 2,000.
std::int64_t estimated_tokens(const Request& request);

// What an error body asks to be waited for, where a header does not say it; -1: nothing.
Milliseconds retry_delay_in(std::string_view error_body);

}  // namespace lathe::serve
