// Attention of a layer in training: projections, norms and rotation, gates and the output around
// attend().
#pragma once

#include "infer/tune/norm.h"

namespace lathe::infer {

class AttentionPart final : public TunePart {
 public:
  AttentionPart(TunePass& pass, std::size_t layer);
  void take_exact(TakenRows& rows) override;
  void take_kept(TakenRows& rows) override;
  void take_scratch(TakenRows& rows) override;
  void forward(Rows in, Rows out, bool wanted) override;
  void backward(Rows in, Rows d_out, Rows d_in) override;

 private:
  struct Heads {
    std::size_t count;
    NormRows norm;  // of a head, or of all
    bool scaled;    // by the scores' scale
  };
  Heads heads_of(Slot norm, std::size_t count);
  void finish(const Heads& heads, Rows raw, Rows out);
  void finish_backward(const Heads& heads, Rows raw, Rows turned, Rows d);
  void rotate(const Heads& heads, const std::vector<std::vector<float>>& angles, Rows rows);
  void scale(Rows rows, const Heads& heads);
  float scale_at(std::size_t position) const;
  void split_gates();
  void open_gates();
  void open_gates_backward();
  void sinks_backward();
  AttentionRows rows() const;

  TunePass& pass_;
  const AttentionSpec spec_;
  const TuneLayer& weights_;
  std::size_t rope_;
  std::size_t q_size_, kv_size_;
  std::vector<float> ones_;  // the weights of norms that have none
  TapedLinear q_linear_, k_linear_, v_linear_, output_;
  // Kept: what the projections gave (q with its gates), heads as they meet, their answers, and
  // those behind the gates. Where nothing is in between, two names have the same rows.
  Rows sums_, mixed_, q_raw_, k_raw_, q_, k_, v_, answers_, heads_;
  Rows d_mixed_, d_heads_, dq_, dk_, dv_, turned_, d_sinks_;
};

}  // namespace lathe::infer
