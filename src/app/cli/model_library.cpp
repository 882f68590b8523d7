// Where this program and others keep models, by the environment.
#include "app/cli/model_library.h"

#include <cstdlib>

namespace lathe::app {
namespace {

// An absolute path of the environment; "": none.
fs::path place_in(const char* variable) {
  const char* value = std::getenv(variable);
  const fs::path path = value == nullptr ? "" : value;
  return path.is_absolute() ? path : fs::path();
}

fs::path hub_cache(const fs::path& home) {
  if (const fs::path cache = place_in("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const fs::path hub = place_in("HF_HOME"); !hub.empty()) return hub / "hub";
  if (const fs::path xdg = place_in("XDG_CACHE_HOME"); !xdg.empty())
    return xdg / "huggingface" / "hub";
  return home.empty() ? home : home / ".cache" / "huggingface" / "hub";
}

}  // namespace

serve::LibraryPlaces library_places(const App& app) {
  const fs::path home = place_in("HOME");
  serve::LibraryPlaces places{.models = app.config_dir / "models",
                              .hub_cache = hub_cache(home),
                              .ollama = {},
                              .lm_studio = {}};
  if (const fs::path ollama = place_in("OLLAMA_MODELS"); !ollama.empty()) {
    places.ollama = {ollama};
  } else {
    // A person's own, and those of Ollama as a service.
    if (!home.empty()) places.ollama = {home / ".ollama" / "models"};
    places.ollama.emplace_back("/usr/share/ollama/.ollama/models");
  }
  if (!home.empty())
    places.lm_studio = {home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"};
  return places;
}

fs::path model_path(const App& app, const std::string& text) {
  std::error_code error;
  if (fs::exists(text, error)) return text;
  const auto models = serve::list_library(library_places(app));
  const serve::LibraryModel* model = serve::find_in_library(models, text);
  return model == nullptr ? fs::path(text) : model->file;
}

}  // namespace lathe::app
