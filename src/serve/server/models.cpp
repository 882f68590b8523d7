// GET /v1/models, /v1/models/{id}; POST /models/load, /models/unload
#include <algorithm>

#include "ground/base/clock.h"
#include "ground/base/text.h"
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"
#include "work/cloud_names.h"

namespace lathe::serve {
namespace {

// What OpenAI's and Anthropic's clients read, and what a person wants to know.
Json model_json(const ModelInfo& model) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", model.modified},
          {"owned_by", "lathe"},
          {"type", "model"},
          {"display_name", model.name},
          {"created_at", format_utc(model.modified * 1000)},
          {"aliases", model.aliases},
          {"capabilities", model.capabilities()},
          {"voices", model.voices},
          {"languages", model.languages},
          {"state", model_state_name(model.state)},
          {"problem", model.problem.empty() ? Json() : Json(model.problem)},
          {"pinned", model.pinned},
          {"loaded", model.loaded},
          {"load_seconds", model.load_seconds},
          {"max_model_len", model.context},
          {"meta",
           {{"architecture", model.architecture},
            {"quantization", model.quantization},
            {"n_params", model.parameters},
            {"size", model.file_bytes},
            {"n_ctx", model.context},
            {"n_ctx_train", model.trained_context},
            {"n_embd", model.embedding}}},
          {"memory",
           {{"weights", model.weights},
            {"kv", model.kv},
            {"prefix", model.prefix},
            {"scratch", model.scratch},
            {"media", model.media},
            {"program", model.program},
            {"used", model.used ? Json(*model.used) : Json()},
            {"devices", to_json(model.devices)}}},
          {"running", model.running},
          {"waiting", model.waiting},
          {"tokens_per_second", model.tokens_per_second}};
}

ApiResult<std::string> asked_model(const ModelHost& host, const Call& call) {
  Fields body(call.body);
  std::string asked = body.text("model").value_or("");
  if (asked.empty() && call.dialect == Dialect::kOllama) asked = body.text("name").value_or("");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  if (!asked.empty()) return asked;
  // The only one that answers.
  HostStatus status = status_for(host, call);
  if (status.models.size() > 1)
    std::erase_if(status.models,
                  [](const ModelInfo& model) { return model.transcribes || model.speaks; });
  return status.models.size() == 1 ? status.models[0].name : std::string();
}

// Of a key that may use some models only, by their names or aliases, with any adapter.
bool may_use(const ModelHost& host, const Call& call, std::string_view model) {
  if (!call.key || call.key->models.empty()) return true;
  const std::string_view base = model.substr(0, model.rfind('+'));
  return std::ranges::any_of(call.key->models, [&](const std::string& allowed) {
    const auto name = host.find(allowed);
    return name && (*name == model || *name == base);
  });
}

ApiResult<std::string> look_up(const ModelHost& host, const Call& call,
                               Result<std::string> (ModelHost::*by)(std::string_view) const,
                               std::string_view asked) {
  // What Ollama's clients make of a name without a tag: before a default answers for it.
  constexpr std::string_view kLatest = ":latest";
  if (asked.ends_with(kLatest) && !host.find(asked) &&
      host.find(asked.substr(0, asked.size() - kLatest.size())))
    asked.remove_suffix(kLatest.size());
  const auto name = (host.*by)(asked);
  // As if it were not there.
  if (name && !may_use(host, call, *name))
    return std::unexpected(
        ApiError{404,
                 fmt::format("there is no model '{}' for the key '{}'; it may use {}",
                             clip_utf8(make_valid_utf8(asked), 100), call.key->name,
                             clip_utf8(join(call.key->models, ", "), 500)),
                 "model", "model_not_found"});
  if (name) return *name;
  ApiError error = api_error(name.error());
  error.param = "model";
  return std::unexpected(std::move(error));
}

}  // namespace

ApiResult<ModelInfo> model_info(const ModelHost& host, const std::string& name) {
  const HostStatus status = host.status();
  // MODEL+ADAPTER is told of as its model.
  for (const std::string& known : {name, name.substr(0, name.rfind('+'))}) {
    const auto found = std::ranges::find(status.models, known, &ModelInfo::name);
    if (found != status.models.end()) return *found;
  }
  return std::unexpected(
      ApiError{404, fmt::format("there is no model '{}'", name), "model", "model_not_found"});
}

ApiResult<std::string> model_of(const ModelHost& host, const Call& call) {
  LATHE_TRY(const std::string asked, asked_model(host, call));
  const auto name = look_up(host, call, &ModelHost::resolve, asked);
  if (!name && asked.empty())
    return refuse("'model' is missing, and there is more than one", "model");
  return name;
}

ApiResult<std::string> transcriber_of(const ModelHost& host, const Call& call) {
  Fields body(call.body);
  const std::string asked = body.text("model").value_or("");
  if (const auto status = body.status(); !status) return std::unexpected(status.error());
  // Clouds' names, like "whisper-1" and "gpt-4o-transcribe".
  const bool any = asked.empty() || is_cloud_name(asked) || asked == "whisper-1";
  if (!any || host.find(asked)) return look_up(host, call, &ModelHost::find, asked);
  HostStatus status = status_for(host, call);
  std::erase_if(status.models, [](const ModelInfo& model) { return !model.transcribes; });
  for (const ModelInfo& model : status.models)
    if (model.state == ModelState::kReady) return model.name;
  if (status.models.size() == 1) return status.models[0].name;
  return std::unexpected(
      ApiError{404,
               status.models.empty()
                   ? std::string("there is no model that writes sounds down; a Whisper model does, "
                                 "a file like ggml-base.bin among those that are served")
                   : "'model' must name one of the models that write sounds down",
               "model", "model_not_found"});
}

ApiResult<std::string> exact_model_of(const ModelHost& host, const Call& call) {
  LATHE_TRY(const std::string asked, asked_model(host, call));
  if (asked.empty()) return refuse("'model' is missing", "model");
  return look_up(host, call, &ModelHost::find, asked);
}

HostStatus status_for(const ModelHost& host, const Call& call) {
  HostStatus status = host.status();
  std::erase_if(status.models,
                [&](const ModelInfo& model) { return !may_use(host, call, model.name); });
  return status;
}

Handled list_models(ModelHost& host, Call& call) {
  const HostStatus status = status_for(host, call);
  Json data = Json::array();
  for (const ModelInfo& model : status.models) data.push_back(model_json(model));
  Json json = {{"object", "list"}, {"data", std::move(data)}, {"has_more", false}};
  json["first_id"] = status.models.empty() ? Json() : Json(status.models.front().name);
  json["last_id"] = status.models.empty() ? Json() : Json(status.models.back().name);
  return json_reply(json);
}

Handled show_model(ModelHost& host, Call& call) {
  call.body = {{"model", call.rest}};
  LATHE_TRY(const std::string name, exact_model_of(host, call));
  LATHE_TRY(const ModelInfo model, model_info(host, name));
  return json_reply(model_json(model));
}

}  // namespace lathe::serve
