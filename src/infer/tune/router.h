// The way back through a router's choice (ExpertChoice). The choice itself has no gradient: it is
// taken as it was.
#pragma once

#include <cstdint>

#include "infer/models/blueprint.h"

namespace lathe::infer {

// One token. p (experts): probabilities, or sigmoids where the router gives those, which become the
// gradient of the logits; d_weight (used): that of the weights of the chosen.
void choice_backward(const FfnSpec& spec, const std::uint32_t* chosen, const float* d_weight,
                     float* p);

}  // namespace lathe::infer
