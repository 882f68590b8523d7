// What Hugging Face's PEFT calls the adapted layers of a model, and in which order their numbers
// stand there: by the names that the importer knows (convert/hf_family.h). Pure.
#pragma once

#include <optional>
#include <string>

#include "infer/convert/hf_family.h"
#include "infer/models/tensors.h"

namespace lathe::infer {

struct PeftModule {
  std::string_view name;  // inside of its layer; "{}" is the number of an expert
  Take take = Take::kAll;
  bool pairs = false;  // HfFamily

  // "model.layers.3.self_attn.q_proj"
  std::string path(std::size_t layer, std::size_t expert) const;
};
// Absent: there is no module of that kind (experts as one parameter, projections mixed in another
// way), and PEFT gets nothing. spec: of a layer.
std::optional<PeftModule> peft_module(const Blueprint& blueprint, const TensorSpec& spec);

// The place at PEFT of row `row` of what the layer gives (of B), and of column `column` of what it
// reads (of A).
std::size_t peft_row(const PeftModule& module, const LayerSpec& layer, const TensorSpec& spec,
                     std::size_t row);
std::size_t peft_column(const PeftModule& module, const LayerSpec& layer, std::size_t column);

}  // namespace lathe::infer
