// Dense feed-forward parts, forward and backward.
#include "infer/tune/dense_part.h"

#include "infer/tune/activation.h"

namespace lathe::infer {

DenseWay::DenseWay(TunePass& pass, const TuneLayer& weights, Activation activation, Slot gate,
                   Slot up, Slot down)
    : pass_(pass),
      activation_(activation),
      gate_{&weights.linear[gate]},
      up_{&weights.linear[up]},
      down_{&weights.linear[down]},
      hidden_(weights.linear[up].rows) {}

void DenseWay::take_kept(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  if (gate_.there()) gate_rows_ = rows.rows(n, hidden_);
  up_rows_ = rows.rows(n, hidden_);
  hidden_rows_ = rows.rows(n, hidden_);
  for (TapedLinear* linear : {&gate_, &up_, &down_}) linear->take(rows, n);
}

void DenseWay::take_scratch(TakenRows& rows) {
  d_gate_ = rows.rows(pass_.max_tokens, hidden_);
  d_up_ = rows.rows(pass_.max_tokens, hidden_);
}

void DenseWay::forward(Rows in, Rows weights, Rows out, bool wanted) {
  if (gate_.there()) gate_.forward(pass_, in, gate_rows_);
  up_.forward(pass_, in, up_rows_);
  pass_.each_token([&](std::size_t t) {
    float* hidden = hidden_rows_.row(t);
    activate(pass_.kernels, activation_, gate_rows_.row(t), up_rows_.row(t), hidden_, hidden);
    if (weights.data != nullptr) pass_.kernels.train.scale(hidden, *weights.row(t), hidden_);
  });
  if (wanted || down_.adapted()) down_.forward(pass_, hidden_rows_, out);
}

void DenseWay::backward(Rows in, Rows weights, Rows d_out, Rows d_in, bool add, Rows d_weights) {
  down_.backward(pass_, hidden_rows_, d_out, d_up_, false);
  pass_.each_token([&](std::size_t t) {
    const float *gate = gate_rows_.row(t), *up = up_rows_.row(t);
    float *d_gate = d_gate_.row(t), *d_hidden = d_up_.row(t);
    if (weights.data != nullptr) {
      activate(pass_.kernels, activation_, gate, up, hidden_, d_gate);  // without its weight
      *d_weights.row(t) = pass_.kernels.train.dot(d_gate, d_hidden, hidden_);
      pass_.kernels.train.scale(d_hidden, *weights.row(t), hidden_);
    }
    activate_backward(pass_.kernels, activation_, gate, up, d_hidden, hidden_, d_gate, d_hidden);
  });
  if (gate_.there()) gate_.backward(pass_, in, d_gate_, d_in, add);
  up_.backward(pass_, in, d_up_, d_in, add || gate_.there());
}

DensePart::DensePart(TunePass& pass, std::size_t layer)
    : way_(pass, pass.model.layers()[layer], pass.model.blueprint().layers[layer].ffn.activation,
           Slot::kGate, Slot::kUp, Slot::kDown) {}

}  // namespace lathe::infer
