// A feed-forward part that every token takes, in training: y = down·activation(gate·x, up·x), the
// hidden rows each times a weight if there are any.
#pragma once

#include "infer/tune/part.h"

namespace lathe::infer {

class DenseWay {
 public:
  DenseWay(TunePass& pass, const TuneLayer& weights, Activation activation, Slot gate, Slot up,
           Slot down);
  void take_kept(TakenRows& rows);
  void take_scratch(TakenRows& rows);
  // weights (tokens, 1); data nullptr: none. As TunePart::forward().
  void forward(Rows in, Rows weights, Rows out, bool wanted);
  // d_weights (tokens, 1) is written; add: to what d_in holds.
  void backward(Rows in, Rows weights, Rows d_out, Rows d_in, bool add, Rows d_weights);

 private:
  TunePass& pass_;
  Activation activation_;
  TapedLinear gate_, up_, down_;
  std::size_t hidden_;
  Rows gate_rows_, up_rows_, hidden_rows_;  // kept; the last ones times their weights
  Rows d_gate_, d_up_;
};

class DensePart final : public TunePart {
 public:
  DensePart(TunePass& pass, std::size_t layer);
  void take_exact(TakenRows&) override {}
  void take_kept(TakenRows& rows) override { way_.take_kept(rows); }
  void take_scratch(TakenRows& rows) override { way_.take_scratch(rows); }
  void forward(Rows in, Rows out, bool wanted) override { way_.forward(in, {}, out, wanted); }
  void backward(Rows in, Rows d_out, Rows d_in) override {
    way_.backward(in, {}, d_out, d_in, false, {});
  }

 private:
  DenseWay way_;
};

}  // namespace lathe::infer
