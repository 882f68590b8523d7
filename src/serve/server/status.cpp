// GET /status: every model, its state and bytes, as `lathe ps` shows them.
#include "serve/server/endpoints.h"

namespace lathe::serve {

Json status_json(const ModelHost& host, const Call& call) {
  const HostStatus all = status_for(host, call);
  Json models = Json::array();
  for (const ModelInfo& model : all.models) {
    models.push_back({{"name", model.name},
                      {"state", model_state_name(model.state)},
                      {"problem", model.problem},
                      {"pinned", model.pinned},
                      {"weights", model.weights},
                      {"kv", model.kv},
                      {"prefix", model.prefix},
                      {"scratch", model.scratch},
                      {"media", model.media},
                      {"program", model.program},
                      {"used", model.used ? Json(*model.used) : Json()},
                      {"devices", to_json(model.devices)},
                      {"running", model.running},
                      {"waiting", model.waiting},
                      {"tokens_per_second", model.tokens_per_second},
                      {"loaded", model.loaded},
                      {"load_seconds", model.load_seconds}});
  }
  Json devices = Json::object();
  for (const auto& [device, limit] : all.limits)
    devices[device] = {{"limit", limit}, {"booked", all.booked.of(device)}};
  return {{"models", std::move(models)},
          {"memory_limit", all.limits.total()},
          {"memory_booked", all.booked.total()},
          {"devices", std::move(devices)},
          {"resident", all.resident},
          {"queued", all.queued},
          {"interactive", all.interactive},
          {"interactive_total", all.counters.of_people}};
}

Handled status(ModelHost& host, Call& call) {
  return json_reply(status_json(host, call));
}

}  // namespace lathe::serve
