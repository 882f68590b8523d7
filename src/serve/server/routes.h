// Routes as they are given to a server: where something is, and who answers there.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/server/call.h"

namespace lathe::serve {

// Has captured what it answers from. Any thread; a Call is its own.
using Handler = std::function<Handled(Call& call)>;

struct Route {
  std::string_view method;
  // Without "/v1"; a '*' at the end stands for the rest, "{name}" between slashes for one part.
  std::string_view path;
  Handler handler;
  // Only for callers that say `X-Lathe: 1` (says_change() of gate.h).
  bool change = false;
  bool form = false;  // its body is a form with files, and no JSON
  bool raw = false;   // it reads the body itself, and says in its own words what is wrong with it
};

struct RouteTable {
  std::vector<Route> rows;
  // Whether the table is there for a request; empty: for each.
  std::function<bool(const HttpRequest& request)> applies = {};
};

// The path as routes have it: "/v1" may stand in front or not, as clients' base URLs do.
std::string_view route_path(std::string_view path);

struct RouteMatch {
  const Route* route = nullptr;  // nullptr: none
  std::string allowed;           // methods that the path knows; empty: no such path
  std::string rest;
  std::vector<std::string> names;  // what the route's braces stand for
};
// Whether a request goes to a route that reads a form.
bool takes_form(std::span<const RouteTable> tables, const HttpRequest& request);
// The first route that fits, in the order of the tables and their rows.
RouteMatch find_route(std::span<const RouteTable> tables, const HttpRequest& request);

}  // namespace lathe::serve
