// The table of endpoints. To add one: a file, and a row here.
#include "serve/server/api_routes.h"

#include "serve/net/forwarded.h"
#include "serve/server/endpoints.h"

namespace lathe::serve {

std::span<const ApiEndpoint> api_endpoints() {
  constexpr std::string_view kModels =
      "names, aliases, state, context, bytes; ids may be percent-encoded";
  constexpr std::string_view kResponses = "OpenAI; nothing is stored";
  constexpr std::string_view kMessages = "Anthropic, `?beta=true` too";
  constexpr std::string_view kSounds =
      "OpenAI: a form with a sound `file`; what is said in it, or that in English "
      "([transcripts](transcripts.md#over-http))";
  constexpr std::string_view kWords =
      "`content` or `prompt`, `tokens` (`special`: control tokens by their names too), a chat body";
  constexpr std::string_view kProbes =
      "`/health`: 503 while the first model loads or when all failed, else how many `models` there "
      "are; `/version`: the release and `numerics`, the number of the arithmetic; metrics in "
      "Prometheus' format";
  constexpr std::string_view kAdmin = "`{\"model\": …}`, for whoever runs the server";
  constexpr std::string_view kOllama =
      "Ollama; `pull` fetches where the server was started with `--allow-pull`, else it confirms "
      "what is here";
  static constexpr ApiEndpoint kEndpoints[] = {
      {"GET", "/models", kModels, list_models},
      {"GET", "/models/*", kModels, show_model},
      {"POST", "/chat/completions", "OpenAI", chat_completions},
      {"POST", "/completions",
       "a text, texts, token ids; `echo`, `suffix`, `logprobs` (a number); "
       "[log-likelihoods](#log-likelihoods)",
       completions},
      {"POST", "/embeddings", "`float` and `base64`; `dimensions` where a model is made for it",
       embeddings},
      {"POST", "/rerank", "Cohere and Jina: how relevant `documents` are to a `query`", rerank},
      {"POST", "/audio/transcriptions", kSounds, transcriptions, true},
      {"POST", "/audio/translations", kSounds, translations, true},
      {"POST", "/responses", kResponses, responses},
      {"POST", "/responses/input_tokens", kResponses, input_tokens},
      {"POST", "/messages", kMessages, messages},
      {"POST", "/messages/count_tokens", kMessages, count_tokens},
      {"GET", "/", kOllama, ollama_root},
      {"GET", "/api/version", kOllama, ollama_version},
      {"GET", "/api/tags", kOllama, ollama_tags},
      {"GET", "/api/ps", kOllama, ollama_ps},
      {"POST", "/api/show", kOllama, ollama_show},
      {"POST", "/api/chat", kOllama, ollama_chat},
      {"POST", "/api/generate", kOllama, ollama_generate},
      {"POST", "/api/embed", kOllama, ollama_embed},
      {"POST", "/api/embeddings", kOllama, ollama_embeddings},
      {"POST", "/api/pull", kOllama, ollama_pull},
      {"POST", "/tokenize", kWords, tokenize},
      {"POST", "/detokenize", kWords, detokenize},
      {"POST", "/apply-template", kWords, apply_template},
      {"GET", "/status",
       "models, states and bytes, as `lathe ps` shows them; `devices`: limit and what is booked of "
       "each device's memory, and of each model what it has where (`cpu`: the memory of the "
       "machine); `interactive` and `interactive_total`: requests of people, now and so far",
       status},
      {"GET", "/health", kProbes, health},
      {"GET", "/version", kProbes, version},
      {"GET", "/metrics", kProbes, metrics},
      {"POST", "/models/load", kAdmin, load_model},
      {"POST", "/models/unload", kAdmin, unload_model},
  };
  return kEndpoints;
}

RouteTable api_routes(ModelHost& host) {
  RouteTable table;
  for (const ApiEndpoint& endpoint : api_endpoints())
    table.rows.push_back({.method = endpoint.method,
                          .path = endpoint.path,
                          .handler =
                              [&host, &endpoint](Call& call) {
                                call.caller.endpoint = endpoint.path;
                                return endpoint.answer(host, call);
                              },
                          .form = endpoint.form});
  return table;
}

RouteTable forwarded_only(RouteTable table) {
  table.applies = [](const HttpRequest& request) {
    return request.header(kForwardedHeader) != nullptr;
  };
  return table;
}

RouteTable reach_only(RouteTable table, Reach reach) {
  table.applies = [reach](const HttpRequest& request) {
    const std::string* said = request.header(kReachHeader);
    return said != nullptr && parse_reach(*said).value_or(Reach::kLocal) == reach;
  };
  return table;
}

}  // namespace lathe::serve
