// The table of routes. To add one: a file, and a row here.
#include "serve/server/routes.h"

#include <array>

#include "serve/server/endpoints.h"

namespace lathe::serve {
namespace {

constexpr std::array kRoutes{
    Route{"POST", "/chat/completions", chat_completions},
    Route{"POST", "/completions", completions},
    Route{"POST", "/embeddings", embeddings},
    Route{"POST", "/responses", responses},
    Route{"POST", "/responses/input_tokens", input_tokens},
    Route{"POST", "/messages", messages},
    Route{"POST", "/messages/count_tokens", count_tokens},
    Route{"GET", "/models", list_models},
    Route{"GET", "/models/*", show_model},
    Route{"POST", "/models/load", load_model},
    Route{"POST", "/models/unload", unload_model},
    Route{"POST", "/tokenize", tokenize},
    Route{"POST", "/detokenize", detokenize},
    Route{"POST", "/apply-template", apply_template},
    Route{"GET", "/health", health},
    Route{"GET", "/version", version},
    Route{"GET", "/metrics", metrics},
    Route{"GET", "/status", status},
    Route{"GET", "/", ollama_root},
    Route{"GET", "/api/version", ollama_version},
    Route{"GET", "/api/tags", ollama_tags},
    Route{"GET", "/api/ps", ollama_ps},
    Route{"POST", "/api/show", ollama_show},
    Route{"POST", "/api/pull", ollama_pull},
    Route{"POST", "/api/chat", ollama_chat},
    Route{"POST", "/api/generate", ollama_generate},
    Route{"POST", "/api/embed", ollama_embed},
    Route{"POST", "/api/embeddings", ollama_embeddings},
};

bool matches(const Route& route, std::string_view path, std::string& rest) {
  if (!route.path.ends_with('*')) return route.path == path;
  const std::string_view start = route.path.substr(0, route.path.size() - 1);
  if (!path.starts_with(start)) return false;
  rest = path.substr(start.size());
  return !rest.empty();
}

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

std::string_view route_path(std::string_view path) {
  while (path.starts_with("/v1/")) path.remove_prefix(3);
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

RouteMatch find_route(std::string_view method, std::string_view path) {
  if (method == "HEAD") method = "GET";
  path = route_path(path);
  RouteMatch match;
  for (const Route& route : kRoutes) {
    std::string rest;
    if (!matches(route, path, rest)) continue;
    if (route.method == method && !match.route) {
      match.route = &route;
      match.rest = std::move(rest);
    }
    if (!match.allowed.contains(route.method))
      match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(route.method);
  }
  return match;
}

}  // namespace lathe::serve
