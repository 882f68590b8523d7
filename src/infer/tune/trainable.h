// What there is no backward pass for, by name: the one place that refuses a model.
#pragma once

#include "infer/formats/gguf.h"
#include "infer/models/blueprint.h"

namespace lathe::infer {

// The first thing that the model has and that cannot be trained; empty: all of it can.
std::string_view untrainable(const Blueprint& blueprint);
// The same as an error that names the file.
Status check_trainable(const Gguf& file, const Blueprint& blueprint);

}  // namespace lathe::infer
