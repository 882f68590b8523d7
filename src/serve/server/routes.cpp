#include "serve/server/routes.h"

#include <array>

#include "serve/server/endpoints.h"

namespace lathe {
namespace {

constexpr std::array kRoutes{
    Route{"POST", "/chat/completions", chat_completions},
    Route{"GET", "/models", list_models},
    Route{"GET", "/models/*", show_model},
    Route{"GET", "/health", health},
    Route{"GET", "/version", version},
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

}  // namespace lathe
