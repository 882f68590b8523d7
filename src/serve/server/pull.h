// POST /api/pull and /catalog/pull of a server that may fetch models: Ollama's stream of lines, and
// one of events for pages.
#pragma once

#include "ground/base/stop.h"
#include "serve/server/routes.h"

namespace lathe::serve {

struct PullStep {
  std::string sha256;  // of the file that is coming
  std::uint64_t bytes = 0, done = 0;
};
using OnPullStep = std::function<void(const PullStep& step)>;
// Fetches what Ollama's clients call `name` and makes it known to the host by that name. Blocks; is
// called on a thread of its own.
using PullModel =
    std::function<Status(const std::string& name, const OnPullStep& on_step, const StopFlag& stop)>;

// The routes, over a host; both must outlive the server. A few pulls at once; a client that goes
// ends its own, and what has come stays for the next one.
RouteTable pull_routes(ModelHost& host, PullModel pull);

}  // namespace lathe::serve
