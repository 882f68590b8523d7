// Where models are pulled from, and with which token.
#pragma once

#include "app/cli/app.h"
#include "serve/hub/hub_client.h"

namespace lathe::app {

struct PullPlaces {
  std::string hub;  // "": HF_ENDPOINT, else the hub itself
  std::string registry = "https://registry.ollama.ai";
  std::string token_file;  // "": HF_TOKEN
  std::string patience = "60s";
};
void add_place_flags(CLI::App& command, PullPlaces& places);

// The base, the token and the patience for a source.
Result<serve::HubAccess> access_to(const App& app, const PullPlaces& places,
                                   const serve::ModelSource& source);

}  // namespace lathe::app
