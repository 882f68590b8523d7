// Gated delta net of a layer: a short convolution over q, k and v, then each value head's state is
// moved on, token after token (kernels/recurrent_kernels.h). What it carries of a sequence stands
// in that sequence's state: a matrix a value head, then the convolution's last inputs, the oldest
// first. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class DeltaNet final : public LayerPart {
 public:
  // ForwardScratch::scalars of a value head: two projections, then beta and decay.
  static constexpr std::size_t kScalars = 4;

  DeltaNet(const Model& model, std::size_t layer);
  void run(Step& step) const override;

 private:
  void project(Step& step) const;
  void convolve(Step& step) const;
  void finish_token(Step& step, std::size_t token) const;
  void move_states(Step& step) const;
  void finish_heads(Step& step) const;
  float* state(const Step& step, const Step::Run& run) const;
  float* scalars(const Step& step, std::size_t token) const {
    return step.scratch.scalars.data() + token * kScalars * spec_.value_heads;
  }

  DeltaNetSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
  float epsilon_;
};

}  // namespace lathe::infer
