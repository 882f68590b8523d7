// Whether a model whose headers are known can run on this machine.
#pragma once

#include <cstdint>

#include "app/cli/local_model.h"
#include "infer/engine/footprint.h"

namespace lathe::app {

// What one stream of that many tokens takes, with the threads, kernels and KV type of the flags.
Result<infer::Footprint> footprint_here(const infer::Gguf& headers, const ModelFlags& flags,
                                        std::size_t context);

// With one stream and a short context, in `memory` bytes. An error has the arithmetic, or says what
// is missing of the model. An adapter fits where its model does.
Status check_fits_here(const infer::Gguf& headers, std::uint64_t memory);

}  // namespace lathe::app
