// A gated delta net of a layer in training: projections, a short convolution, the recurrence of
// each value head, norms and gates. Every document begins with empty states.
#pragma once

#include "infer/tune/convolution.h"
#include "infer/tune/norm.h"

namespace lathe::infer {

class DeltaNetPart final : public TunePart {
 public:
  DeltaNetPart(TunePass& pass, std::size_t layer);
  void take_exact(TakenRows& rows) override;
  void take_kept(TakenRows& rows) override;
  void take_scratch(TakenRows& rows) override;
  std::size_t thread_floats() const override;
  void forward(Rows in, Rows out, bool wanted) override;
  void backward(Rows in, Rows d_out, Rows d_in) override;

 private:
  void read_scalars(Rows in);
  void scalars_backward(Rows in, Rows d_in);
  ConvolutionRows convolution() const;
  void finish_tokens();
  void finish_tokens_backward();
  void move_states();
  void move_states_backward();
  void scalar_vectors_backward();
  NormRows answer_norm() const;
  DeltaArgs head_of(const Document& document, std::size_t value_head) const;
  // Of the two numbers of a value head, where the file has them in one matrix.
  std::size_t joint_place(std::size_t head) const;

  TunePass& pass_;
  const DeltaNetSpec spec_;
  const TuneLayer& weights_;
  TapedLinear mixed_linear_, gate_linear_, output_, beta_linear_, decay_linear_, joint_linear_;
  Rows logits_;  // (tokens, 2·value heads): those of beta, then what decay is made of
  Rows mixed_, gates_, answers_, heads_;  // kept: before the convolution; before and behind norms
  Rows small_;                            // the projection's order of logits_, and their gradients
  Rows scalars_, d_scalars_;              // (tokens, 2·value heads): beta, decay
  Rows convolved_, moved_, d_moved_;      // before silu; q, k and v; their gradients
  Rows d_mixed_, d_gates_, d_answers_;
};

}  // namespace lathe::infer
