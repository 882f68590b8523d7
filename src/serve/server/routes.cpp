// Finds the route of a request.
#include "serve/server/routes.h"

#include "ground/base/text.h"

namespace lathe::serve {
namespace {

// Part by part; false: the path is another one.
bool names_in(std::string_view pattern, std::string_view path, std::vector<std::string>& names) {
  const auto wanted = split(pattern, '/'), given = split(path, '/');
  if (wanted.size() != given.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].starts_with('{')) {
      if (wanted[i] != given[i]) return false;
      continue;
    }
    if (given[i].empty()) return false;
    names.push_back(given[i]);
  }
  return true;
}

bool matches(const Route& route, std::string_view path, RouteMatch& match) {
  if (route.path.find('{') != route.path.npos) return names_in(route.path, path, match.names);
  if (!route.path.ends_with('*')) return route.path == path;
  const std::string_view start = route.path.substr(0, route.path.size() - 1);
  if (!path.starts_with(start)) return false;
  match.rest = path.substr(start.size());
  return !match.rest.empty();
}

void find_in(const RouteTable& table, std::string_view method, std::string_view path,
             RouteMatch& match) {
  for (const Route& route : table.rows) {
    RouteMatch here;
    if (!matches(route, path, here)) continue;
    if (route.method == method && !match.route) {
      match.route = &route;
      match.rest = std::move(here.rest);
      match.names = std::move(here.names);
    }
    if (!match.allowed.contains(route.method))
      match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(route.method);
  }
}

}  // namespace

std::string_view route_path(std::string_view path) {
  while (path.starts_with("/v1/")) path.remove_prefix(3);
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

RouteMatch find_route(std::span<const RouteTable> tables, const HttpRequest& request) {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  RouteMatch match;
  for (const RouteTable& table : tables)
    if (!table.applies || table.applies(request))
      find_in(table, method, route_path(request.path), match);
  return match;
}

bool takes_form(std::span<const RouteTable> tables, const HttpRequest& request) {
  const RouteMatch match = find_route(tables, request);
  return match.route != nullptr && match.route->form;
}

}  // namespace lathe::serve
