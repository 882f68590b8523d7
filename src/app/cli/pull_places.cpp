// Hubs, registries and tokens, from flags and the environment.
#include "app/cli/pull_places.h"

#include <cstdlib>

#include "app/cli/foreign_key.h"
#include "ground/base/text.h"
#include "serve/net/endpoint.h"

namespace lathe::app {
namespace {

constexpr const char* kHub = "https://huggingface.co";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A token is one word; a file of it may end with a line break.
Result<std::string> read_token(const PullPlaces& places) {
  const bool in_variable = places.token_file.empty();
  if (in_variable && variable("HF_TOKEN").empty()) return std::string();  // most models are open
  LATHE_TRY(std::string token,
            foreign_key(in_variable ? "HF_TOKEN" : "", fs::path(places.token_file)));
  token = std::string(trim(token));
  if (std::ranges::any_of(token, [](char c) { return c <= ' ' || c > '~'; }))
    return invalid("{}: holds no token: a token is one word",
                   places.token_file.empty() ? "HF_TOKEN" : places.token_file);
  return token;
}

}  // namespace

Result<serve::HubAccess> access_to(const App& app, const PullPlaces& places,
                                   const serve::ModelSource& source) {
  serve::HubAccess access;
  access.contacts = app.contacts.get();
  std::string base = source.ollama ? places.registry : places.hub;
  if (base.empty()) base = variable("HF_ENDPOINT");
  if (base.empty()) base = kHub;
  LATHE_TRY(const serve::Endpoint endpoint, serve::parse_base_url(base));
  access.base = endpoint.url;
  LATHE_TRY(access.patience, parse_duration(places.patience));
  if (!source.ollama) {
    LATHE_TRY(access.token, read_token(places));
  }
  return access;
}

void add_place_flags(CLI::App& command, PullPlaces& places) {
  command.add_option(
      "--hub", places.hub,
      "URL of the hub or a mirror (default: HF_ENDPOINT, else " + std::string(kHub) + ")");
  command.add_option("--registry", places.registry, "URL of the registry or a mirror")
      ->capture_default_str();
  command.add_option("--token-file", places.token_file,
                     "File with the hub's token, for gated models (default: HF_TOKEN)");
  command.add_option("--patience", places.patience, "Time for a hub or registry that is silent")
      ->capture_default_str();
}

}  // namespace lathe::app
