// Whether a model whose headers are known can run on this machine.
#pragma once

#include <cstdint>

#include "infer/models/blueprint.h"

namespace lathe::app {

// With one stream and a short context, in `memory` bytes. An error has the arithmetic, or says what
// is missing of the model. An adapter fits where its model does.
Status check_fits_here(const infer::Gguf& headers, std::uint64_t memory);

}  // namespace lathe::app
