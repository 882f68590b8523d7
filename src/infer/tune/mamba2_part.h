// Mamba-2 of a layer in training: one projection, a short convolution, the recurrence of each head,
// gates and the norms of groups. Every document begins with empty states.
#pragma once

#include "infer/tune/convolution.h"
#include "infer/tune/norm.h"

namespace lathe::infer {

class Mamba2Part final : public TunePart {
 public:
  Mamba2Part(TunePass& pass, std::size_t layer);
  void take_exact(TakenRows& rows) override;
  void take_kept(TakenRows& rows) override;
  void take_scratch(TakenRows& rows) override;
  std::size_t thread_floats() const override;
  void forward(Rows in, Rows out, bool wanted) override;
  void backward(Rows in, Rows d_out, Rows d_in) override;

 private:
  void finish_tokens();
  void open_gates(Rows out);
  void move_states();
  void move_states_backward();
  void steps_backward();
  void skip_backward();
  ScanArgs head_of(const Document& document, std::size_t head) const;
  ConvolutionRows convolution() const;
  NormRows group_norm() const;
  // Of a projected row, behind the gates: what is convolved, then the time steps.
  Rows convolved_of(Rows mixed) const { return {mixed.data + spec_.inner(), mixed.stride}; }
  std::size_t group_of(std::size_t head) const { return head / (spec_.heads / spec_.groups); }

  TunePass& pass_;
  const Mamba2Spec spec_;
  const TuneLayer& weights_;
  TapedLinear input_, output_;
  Rows steps_;                        // (tokens, heads): what time steps and decays are made of
  Rows mixed_, answers_, heads_;      // kept: the projection; before gates; behind norms
  Rows scalars_, d_scalars_;          // (tokens, 2·heads): time step, decay
  Rows convolved_, moved_, d_moved_;  // before silu, behind it
  Rows opened_, d_heads_, d_mixed_;
};

}  // namespace lathe::infer
