// Where the endpoints are.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "serve/server/call.h"

namespace lathe::serve {

struct Route {
  std::string_view method;
  std::string_view path;  // without "/v1"; a '*' at the end stands for the rest
  Outcome (*endpoint)(Call& call);
};

std::span<const Route> routes();

// The path as routes have it: "/v1" may stand in front or not, as clients' base URLs do.
std::string_view route_path(std::string_view path);

struct RouteMatch {
  const Route* route = nullptr;  // nullptr: none
  std::string allowed;           // methods that the path knows; empty: no such path
  std::string rest;
};
RouteMatch find_route(std::string_view method, std::string_view path);

}  // namespace lathe::serve
