// What training gives: a model's file again with its new weights.
#pragma once

#include "infer/tune/tune_model.h"

namespace lathe {

// `base` with every tensor that is a parameter of the fully trained model written anew, in the type
// it had. The file appears whole or not at all.
Status write_trained_model(const Gguf& base, const TuneModel& model, const fs::path& out);

}  // namespace lathe
