// A token's own embedding for each layer (Gemma 4): looked up and mixed with a projection of what
// the token begins with, and behind each layer a part that it opens. One thread, but for what the
// team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

// scratch.inputs (tokens, layers, size), of the residual stream that a step begins with.
void prepare_layer_inputs(Step& step);

class LayerInput final : public LayerPart {
 public:
  LayerInput(const Model& model, std::size_t layer)
      : size_(model.blueprint().layer_input), layer_(layer) {}
  void run(Step& step) const override;

 private:
  std::size_t size_, layer_;
};

}  // namespace lathe::infer
