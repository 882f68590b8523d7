// What draws artifacts for those who look at them: how that is done, whoever starts the server
// knows.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ground/base/result.h"

namespace lathe::serve {

// Any thread may call it. `sha256` is the name of `bytes`; `done` gets a PNG from another thread,
// or why there is none: kInvalid where the artifact itself cannot be drawn, kUnavailable where
// nothing is drawn here or too much waits.
using DrawArtifact =
    std::function<void(const std::string& sha256, std::shared_ptr<const std::string> bytes,
                       std::function<void(Result<std::shared_ptr<const std::string>>)> done)>;

}  // namespace lathe::serve
