// A model's headers before its weights: what a look at them decides is decided before anything
// large is fetched.
#pragma once

#include "serve/hub/pull.h"

namespace lathe::serve {

// Fetches the heads of the plan's files, a bounded number of bytes, into files with holes where
// the weights will be, and has them looked at. The files are gone when this returns.
Status check_headers(const HubClient& client, const PullPlan& plan,
                     const std::function<Status(const infer::Gguf& headers)>& check);

}  // namespace lathe::serve
