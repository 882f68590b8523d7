// Attention of a layer: q, k and v, their biases, norms and rotation, the walk over the cache,
// gates and the output. One thread, but for what the team is given.
#pragma once

#include "infer/cpu/head_walk.h"

namespace lathe::infer {

class Attention final : public LayerPart {
 public:
  Attention(const Model& model, std::size_t layer, std::size_t rope);
  void run(Step& step) const override;
  bool record(Step& step, Chain& chain) const override;
  const std::vector<float>* bias() const override;

 private:
  float scale_at(std::size_t position) const;
  std::size_t inputs_count() const;
  void open_gates(Step& step, std::size_t token) const;
  void finish_heads(Step& step, std::size_t token, float* scratch) const;

  AttentionSpec spec_;
  const LayerWeights& weights_;
  std::size_t layer_, rope_;
  float epsilon_;
  std::vector<float> ones_;  // the weights of norms that have none
  HeadWalk walk_;
  // The biases of q, k and v; null: none.
  const float *q_bias_ = nullptr, *k_bias_ = nullptr, *v_bias_ = nullptr;
};

}  // namespace lathe::infer
