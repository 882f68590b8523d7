// The feed-forward parts of layers. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/step.h"

namespace lathe::infer {

// down·(silu(gate·x)·(up·x)), or what the activation makes of gate and up.
class DenseFfn final : public LayerPart {
 public:
  DenseFfn(const Model& model, std::size_t layer)
      : spec_(model.blueprint().layers[layer].ffn),
        weights_(model.layers()[layer]),
        layer_(layer) {}
  void run(Step& step) const override;
  bool record(Step& step, Chain& chain) const override;
  const std::vector<float>* bias() const override {
    return spec_.bias ? &weights_.vector[Slot::kDownBias] : nullptr;
  }

 private:
  void add_bias(Step& step, Slot slot, float* out) const;
  FfnSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
};

// Each expert multiplies the tokens that chose it, as one batch; a token adds its experts' answers
// in the order of its own ranking, whoever else is in the step, and last that of the expert that
// every token takes. Where a dense part stands beside the experts, both read the residual stream
// through norms of their own, and their answers' norms are added.
class ExpertFfn final : public LayerPart {
 public:
  ExpertFfn(const Model& model, std::size_t layer);
  void run(Step& step) const override;

 private:
  struct Slots {
    Slot gate, up, down;
  };
  void dense(Step& step, const Slots& slots, std::size_t hidden, float* out) const;
  void begin_beside(Step& step) const;
  void choose(Step& step) const;
  void gather(Step& step) const;
  void sum_up(Step& step) const;
  void leave_latent(Step& step) const;
  void finish_beside(Step& step) const;
  void read_norm(Step& step, const std::vector<float>& weights) const;
  // What experts read and give is of this width.
  std::size_t width(const Step& step) const {
    return spec_.latent != 0 ? spec_.latent : step.width();
  }
  void add_biases(Step& step, Slot slot, std::size_t rows, float* out) const;
  void add_shared(Step& step) const;
  FfnSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_;
  float epsilon_;
  std::vector<float> router_norm_;  // of what the router reads, where a dense part stands beside
};

}  // namespace lathe::infer
