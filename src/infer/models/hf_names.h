// What Hugging Face's models call the tensors of a layer, inside "model.layers.N." and without
// ".weight" and ".bias". Pure.
#pragma once

#include <span>

#include "infer/models/tensors.h"

namespace lathe::infer {

struct HfName {
  Slot slot;
  std::string_view dense;
  // In mixtures, of one expert ("{}"), as Qwen and as Mixtral have it; empty: the same.
  std::string_view expert = {}, mixtral = {};
};
std::span<const HfName> hf_names();  // in the order of the slots

}  // namespace lathe::infer
