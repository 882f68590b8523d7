// What Ollama's clients ask besides answers: /, /api/version, /api/tags, /api/ps, /api/show,
// /api/pull
#include "ground/base/clock.h"
#include "ground/base/hash.h"
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

// The version of Ollama's API that this follows: clients refuse what they find too old.
constexpr std::string_view kOllamaVersion = "0.13.0";

// As Ollama writes it: "7.6B", "3.41M".
std::string parameter_size(std::uint64_t parameters) {
  const auto n = static_cast<double>(parameters);
  if (n >= 1e9) return fmt::format("{:.1f}B", n / 1e9);
  return n >= 1e6 ? fmt::format("{:.2f}M", n / 1e6) : fmt::format("{:.2f}K", n / 1e3);
}

Json details(const ModelInfo& model) {
  return {{"parent_model", ""},
          {"format", "gguf"},
          {"family", model.architecture},
          {"families", Json::array({model.architecture})},
          {"parameter_size", parameter_size(model.parameters)},
          {"quantization_level", model.quantization}};
}

Json entry(const ModelInfo& model) {
  return {{"name", model.name},
          {"model", model.name},
          {"size", model.file_bytes},
          // Not of the file's bytes, which may be many: it changes when the file does.
          {"digest",
           sha256_hex(fmt::format("{}\n{}\n{}", model.name, model.file_bytes, model.modified))},
          {"details", details(model)}};
}

}  // namespace

Handled ollama_root(ModelHost&, Call&) {
  return HttpReply{200, "Ollama is running", "text/plain; charset=utf-8"};
}

Handled ollama_version(ModelHost&, Call&) {
  return json_reply({{"version", kOllamaVersion}});
}

Handled ollama_tags(ModelHost& host, Call& call) {
  Json models = Json::array();
  for (const ModelInfo& model : status_for(host, call).models) {
    Json json = entry(model);
    json["modified_at"] = format_utc(model.modified * 1000);
    models.push_back(std::move(json));
  }
  return json_reply({{"models", std::move(models)}});
}

Handled ollama_ps(ModelHost& host, Call& call) {
  Json models = Json::array();
  for (const ModelInfo& model : status_for(host, call).models) {
    if (model.state != ModelState::kReady) continue;
    Json json = entry(model);
    json["size"] = model.weights + model.kv + model.prefix + model.scratch + model.media;
    json["size_vram"] = 0;
    json["context_length"] = model.context;
    // It stays until its memory is needed.
    json["expires_at"] = "2999-12-31T00:00:00Z";
    models.push_back(std::move(json));
  }
  return json_reply({{"models", std::move(models)}});
}

Handled ollama_show(ModelHost& host, Call& call) {
  LATHE_TRY(const std::string name, exact_model_of(host, call));
  LATHE_TRY(const ModelInfo model, model_info(host, name));
  const std::string& arch = model.architecture;
  return json_reply({{"modelfile", ""},
                     {"parameters", ""},
                     {"template", model.chat_template},
                     {"details", details(model)},
                     {"model_info",
                      {{"general.architecture", arch},
                       {"general.parameter_count", model.parameters},
                       {arch + ".context_length", model.context},
                       {arch + ".embedding_length", model.embedding}}},
                     {"capabilities", model.capabilities()},
                     {"modified_at", format_utc(model.modified * 1000)}});
}

// Clients pull what they mean to use: that is no more than a look where the model is here.
Handled ollama_pull(ModelHost& host, Call& call) {
  if (const auto name = exact_model_of(host, call); !name)
    return std::unexpected(ApiError{
        name.error().status, name.error().message +
                                 "; this server fetches no models: start it with --allow-pull, "
                                 "or put the file into its directory of models"});
  return HttpReply{200, "{\"status\":\"success\"}\n", "application/x-ndjson"};
}

}  // namespace lathe::serve
