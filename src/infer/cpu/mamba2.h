// Mamba-2 of a layer: a short convolution over inputs and over what writes and reads the states,
// then each head's state is moved on, token after token (kernels/recurrent_kernels.h). What it
// carries of a sequence stands in that sequence's state: a matrix a head, then the convolution's
// last inputs. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

class Mamba2 final : public LayerPart {
 public:
  // ForwardScratch::scalars of a head: time step and decay.
  static constexpr std::size_t kScalars = 2;

  Mamba2(const Model& model, std::size_t layer);
  void run(Step& step) const override;

 private:
  void convolve(Step& step) const;
  void move_states(Step& step) const;
  void finish_heads(Step& step) const;
  float* state(const Step& step, const Step::Run& run) const;
  float* scalars(const Step& step, std::size_t token) const {
    return step.scratch.scalars.data() + token * kScalars * spec_.heads;
  }

  Mamba2Spec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
  float epsilon_;
};

}  // namespace lathe::infer
