// What the server's page shows beside runs: memory and energy now, what fits, benchmarks, recipes,
// the models on this machine and the machine itself. Each is what a command prints.
#pragma once

#include "app/cli/app.h"
#include "books/prices/price_table.h"
#include "serve/runs/run_routes.h"
#include "work/model_host.h"

namespace lathe::app {

struct ViewEndpoint {
  std::string_view method, path, about;  // for people
};
std::span<const ViewEndpoint> view_endpoints();

// What the views need to know of the server's models.
struct ServedModels {
  bool pulls = false;                                      // more may be fetched for clients
  std::function<std::map<std::string, fs::path>()> files;  // by name, as they are; any thread
  std::function<Reach(const std::string& model)> reach;    // how far each is
  std::span<const books::PriceTable> prices;               // outlive the server
};

// `host`, `app` and `desk` outlive the server.
serve::RouteTable view_routes(const App& app, ModelHost& host, serve::RunDesk& desk,
                              ServedModels models);

}  // namespace lathe::app
