// The routes to runs, for the page of the server and for scripts.
#pragma once

#include "serve/runs/run_desk.h"
#include "serve/server/routes.h"

namespace lathe::serve {

struct RunEndpoint {
  std::string_view method;
  std::string_view path;   // as a Route has it
  std::string_view about;  // for people
  Handled (*answer)(RunDesk& desk, RunCall& call);
};
std::span<const RunEndpoint> run_endpoints();

// What a call asks the desk for.
RunCall run_call(Call& call);

// The desk outlives the server.
RouteTable run_routes(RunDesk& desk);

}  // namespace lathe::serve
