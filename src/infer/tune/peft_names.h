// What Hugging Face's PEFT calls the adapted layers of a model, and in which order their numbers
// stand there. Pure.
#pragma once

#include <string>

#include "infer/models/tensors.h"

namespace lathe::infer {

// Inside "model.layers.N."; "{}" is the number of an expert. Empty: the model has no module of that
// kind there (experts as one parameter, projections mixed in another way), and PEFT gets nothing.
std::string_view peft_module(const Blueprint& blueprint, const TensorSpec& spec);

// The place at PEFT of row `row` of what the layer gives (of B), and of column `column` of what it
// reads (of A). GGUF's heads that turn in pairs have (pair, half) where Hugging Face's have
// (half, pair), where the model's converter has changed that; Qwen3.5's value heads stand one key
// head after the other.
std::size_t peft_row(const Blueprint& blueprint, const TensorSpec& spec, std::size_t row);
std::size_t peft_column(const Blueprint& blueprint, const TensorSpec& spec, std::size_t column);

}  // namespace lathe::infer
