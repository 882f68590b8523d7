// GET /health, /version
#include <algorithm>

#include "ground/base/version.h"
#include "serve/server/endpoints.h"

namespace lathe::serve {

// Models are brought in when they are asked for: a server is only not ready while its first one is
// on its way, or when all have failed.
Handled health(ModelHost& host, Call&) {
  const HostStatus status = host.status();
  const auto some = [&](ModelState state) {
    return std::ranges::count(status.models, state, &ModelInfo::state) > 0;
  };
  const bool ready = some(ModelState::kReady);
  if (!ready && some(ModelState::kLoading))
    return std::unexpected(ApiError{503, "loading a model", {}, "loading", 1});
  if (!ready && some(ModelState::kFailed) && !some(ModelState::kCold))
    return std::unexpected(ApiError{503, "no model could be loaded", {}, "failed"});
  return json_reply({{"status", "ok"}, {"models", status.models.size()}});
}

Handled version(ModelHost&, Call&) {
  return json_reply({{"version", program_version()}, {"numerics", kNumerics}});
}

}  // namespace lathe::serve
