// A mixture of experts in training, and the expert beside them that every token takes. Each expert
// takes the tokens that chose it as one batch, in their order, so its gradients are summed in the
// order of the batch; a token adds its experts' answers, and their gradients, in the order of its
// own ranking.
#pragma once

#include <optional>

#include "infer/tune/dense_part.h"

namespace lathe::infer {

class ExpertsPart final : public TunePart {
 public:
  ExpertsPart(TunePass& pass, std::size_t layer);
  void take_exact(TakenRows& rows) override;
  void take_kept(TakenRows& rows) override;
  void take_scratch(TakenRows& rows) override;
  void forward(Rows in, Rows out, bool wanted) override;
  void backward(Rows in, Rows d_out, Rows d_in) override;

 private:
  void choose();
  void gather(Rows x);
  void activate_pairs();
  void activate_pairs_backward(Rows d_out);
  void sum_up(Rows out);
  void down_bias_backward(Rows d_out);
  void router_backward();
  void forward_shared(Rows in, Rows out, bool wanted);
  void backward_shared(Rows in, Rows d_out, Rows d_in);
  // work(expert, its first pair, how many)
  void for_each_expert(auto&& work) const;

  TunePass& pass_;
  const FfnSpec spec_;
  const TuneLayer& weights_;
  TapedLinear router_linear_, gate_, up_;
  TapedLinear down_;  // its bias is added here, times a pair's weight
  Linear down_without_bias_;
  TapedLinear latent_down_, latent_up_;  // into the experts' width and back, if it is their own
  std::size_t width_;                    // of what experts read and give
  std::optional<DenseWay> shared_;
  Rows router_, shared_weights_;               // logits; (tokens, 1)
  Rows gate_rows_, up_rows_, hidden_rows_;     // of pairs, the last ones times their weights
  Rows inner_, sums_, d_inner_;                // (tokens, width_) of a latent: read, given
  Rows gathered_, expert_out_;                 // (pairs, width_)
  Rows d_gate_, d_up_, d_router_, d_weights_;  // … (tokens, experts) (tokens, used)
  Rows d_shared_weights_;
};

}  // namespace lathe::infer
