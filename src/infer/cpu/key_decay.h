// Kimi's delta attention of a layer: short convolutions over q, k and v, then each head's state is
// moved on, token after token, its rows decaying each on its own (kernels/recurrent_kernels.h).
// What it carries of a sequence: a matrix a head, then the last inputs of the convolutions of q, k
// and v, the oldest first. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class KeyDecay final : public LayerPart {
 public:
  KeyDecay(const Model& model, std::size_t layer);
  void run(Step& step) const override;

  // ForwardScratch::scalars of a token: decays, then betas.
  static std::size_t scalars(const KeyDecaySpec& spec) { return spec.values() + spec.heads; }

 private:
  void project(Step& step) const;
  void through_rank(Step& step, Slot down, Slot up, float* out) const;
  void convolve(Step& step) const;
  void move_states(Step& step) const;
  void finish_heads(Step& step) const;
  float* state(const Step& step, const Step::Run& run) const;

  KeyDecaySpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
  float epsilon_;
  std::vector<float> rates_;  // (heads, size)
};

}  // namespace lathe::infer
