// POST /models/load, /models/unload: for whoever runs the server. They need the key where there is
// one, and come from this machine where there is none.
#include "serve/server/endpoints.h"
#include "serve/server/fields.h"

namespace lathe::serve {
namespace {

Handled with_model(ModelHost& host, Call& call, Status (ModelHost::*action)(const std::string&)) {
  if (!call.body.contains("model")) return refuse("'model' is missing", "model");
  LATHE_TRY(const std::string model, exact_model_of(host, call));
  if (const Status status = (host.*action)(model); !status)
    return std::unexpected(api_error(status.error()));
  LATHE_TRY(const ModelInfo info, model_info(host, model));
  return json_reply({{"model", model}, {"state", model_state_name(info.state)}});
}

}  // namespace

Handled load_model(ModelHost& host, Call& call) {
  return with_model(host, call, &ModelHost::load);
}

Handled unload_model(ModelHost& host, Call& call) {
  return with_model(host, call, &ModelHost::unload);
}

}  // namespace lathe::serve
