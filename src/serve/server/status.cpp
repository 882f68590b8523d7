// GET /status: every model, its state and bytes, as `lathe ps` shows them.
#include "serve/server/endpoints.h"

namespace lathe::serve {

Handled status(ModelHost& host, Call&) {
  const HostStatus all = host.status();
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
                      {"running", model.running},
                      {"waiting", model.waiting},
                      {"tokens_per_second", model.tokens_per_second},
                      {"load_seconds", model.load_seconds}});
  }
  return json_reply({{"models", std::move(models)},
                     {"memory_limit", all.memory_limit},
                     {"memory_booked", all.memory_booked},
                     {"resident", all.resident},
                     {"queued", all.queued}});
}

}  // namespace lathe::serve
