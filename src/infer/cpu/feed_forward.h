// The feed-forward parts of layers. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

// down·(silu(gate·x)·(up·x)), or what the activation makes of gate and up.
class DenseFfn final : public LayerPart {
 public:
  DenseFfn(const Model& model, std::size_t layer)
      : spec_(model.blueprint().layers[layer].ffn), layer_(layer) {}
  void run(Step& step) const override;

 private:
  FfnSpec spec_;
  std::size_t layer_;
};

// Each expert multiplies the tokens that chose it, as one batch; a token adds its experts' answers
// in the order of its own ranking, whoever else is in the step, and last that of the expert that
// every token takes.
class ExpertFfn final : public LayerPart {
 public:
  ExpertFfn(const Model& model, std::size_t layer)
      : spec_(model.blueprint().layers[layer].ffn),
        weights_(model.layers()[layer]),
        layer_(layer) {}
  void run(Step& step) const override;

 private:
  void choose(Step& step) const;
  void add_biases(Step& step, Slot slot, std::size_t rows, float* out) const;
  void add_shared(Step& step) const;
  FfnSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
};

}  // namespace lathe::infer
