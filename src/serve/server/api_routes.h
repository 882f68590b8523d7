// The endpoints of the three APIs, and the routes that lead to them.
#pragma once

#include "serve/server/routes.h"
#include "work/model_host.h"

namespace lathe::serve {

struct ApiEndpoint {
  std::string_view method;
  std::string_view path;   // as a Route has it
  std::string_view about;  // for people; of several in a row the same, where they belong together
  Handled (*answer)(ModelHost& host, Call& call);
  bool form = false;  // as a Route has it
};
std::span<const ApiEndpoint> api_endpoints();

// All of them, over a host; it must outlive the server.
RouteTable api_routes(ModelHost& host);

// The same routes, for requests that another server sent on: it is to get what is here, and never
// what would have to be asked of a third, or of itself.
RouteTable forwarded_only(RouteTable table);

// The same routes, for requests of loops whose prompts may travel so far, and no farther. A reach
// that is none counts as kLocal.
RouteTable reach_only(RouteTable table, Reach reach);

}  // namespace lathe::serve
