// The entry of a media worker process: `lathe media-worker ROLE`. Loads the role's
// models, locks itself in and answers MediaPool's frames until its parent is gone.
#pragma once

#include <span>
#include <string>

namespace lathe::loop {

// `args`: what stands behind "media-worker". Never returns to a caller's business: the result is
// the exit code.
int media_worker_main(std::span<const std::string> args);

}  // namespace lathe::loop
