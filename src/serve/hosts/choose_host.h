// Which of several hosts answers a request. Pure.
#pragma once

#include <optional>
#include <span>

#include "work/model_host.h"

namespace lathe::serve {

// What a host says of the model that is asked for.
struct HostView {
  bool knows = false;
  ModelState state = ModelState::kCold;
  int busy = 0;  // requests of this model that run or wait there
};

// One where the model is ready before one where it would have to be loaded, and that before one
// where it failed; of those the one with the least to do; of those the first. nullopt: none knows
// the model.
std::optional<std::size_t> choose_host(std::span<const HostView> hosts);

}  // namespace lathe::serve
