// Attention of a layer, forward and backward.
#include "infer/tune/attention_part.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {

AttentionPart::AttentionPart(TunePass& pass, std::size_t layer)
    : pass_(pass),
      spec_(*pass.model.blueprint().layers[layer].attention()),
      weights_(pass.model.layers()[layer]),
      rope_(pass.ropes.of_layer[layer]),
      q_size_(spec_.heads * spec_.head_dim),
      kv_size_(spec_.kv_heads * spec_.head_dim),
      ones_(spec_.plain_qk_norm ? q_size_ : 0, 1.0f),
      q_linear_{&weights_.linear[Slot::kQ]},
      k_linear_{&weights_.linear[Slot::kK]},
      v_linear_{&weights_.linear[Slot::kV]},
      output_{&weights_.linear[Slot::kAttentionOutput]} {}

// The sums, which probabilities are computed from again.
void AttentionPart::take_exact(TakenRows& rows) {
  sums_ = rows.rows(pass_.max_tokens, spec_.heads);
}

void AttentionPart::take_kept(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  const bool norm = spec_.qk_norm != QkNorm::kNone;
  q_ = rows.rows(n, q_size_);
  k_ = rows.rows(n, kv_size_);
  q_raw_ = norm ? rows.rows(n, q_size_) : q_;
  k_raw_ = norm ? rows.rows(n, kv_size_) : k_;
  v_ = rows.rows(n, kv_size_);
  heads_ = rows.rows(n, q_size_);
  mixed_ = spec_.output_gate ? rows.rows(n, 2 * q_size_) : q_raw_;
  answers_ = spec_.output_gate ? rows.rows(n, q_size_) : heads_;
  for (TapedLinear* linear : {&q_linear_, &k_linear_, &v_linear_, &output_}) linear->take(rows, n);
}

void AttentionPart::take_scratch(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  d_heads_ = rows.rows(n, q_size_);
  dq_ = rows.rows(n, q_size_);
  dk_ = rows.rows(n, kv_size_);
  dv_ = rows.rows(n, kv_size_);
  d_mixed_ = spec_.output_gate ? rows.rows(n, 2 * q_size_) : dq_;
  if (spec_.qk_norm == QkNorm::kHeadAfterRope) turned_ = rows.rows(n, q_size_);
  if (spec_.sinks) d_sinks_ = rows.rows(n, spec_.heads);
}

AttentionPart::Heads AttentionPart::heads_of(Slot norm, std::size_t count) {
  const bool whole = spec_.qk_norm == QkNorm::kWhole;
  const std::size_t dim = spec_.head_dim;
  return {count,
          {.weight = spec_.plain_qk_norm ? Weights{.value = ones_.data()} : weights_.vector[norm],
           .size = whole ? count * dim : dim,
           .pieces = whole ? 1 : count},
          norm == Slot::kQNorm};
}

AttentionRows AttentionPart::rows() const {
  return {q_, k_, v_, answers_, sums_, spec_.sinks ? weights_.vector[Slot::kSinks].value : nullptr};
}

void AttentionPart::forward(Rows in, Rows out, bool wanted) {
  q_linear_.forward(pass_, in, mixed_);
  k_linear_.forward(pass_, in, k_raw_);
  v_linear_.forward(pass_, in, v_);
  if (spec_.output_gate) split_gates();
  finish(heads_of(Slot::kQNorm, spec_.heads), q_raw_, q_);
  finish(heads_of(Slot::kKNorm, spec_.kv_heads), k_raw_, k_);
  attend(pass_.team, pass_.kernels, spec_, pass_.documents, pass_.attention, rows());
  if (spec_.output_gate) open_gates();
  if (wanted || output_.adapted()) output_.forward(pass_, heads_, out);
}

void AttentionPart::backward(Rows in, Rows d_out, Rows d_in) {
  output_.backward(pass_, heads_, d_out, d_heads_, false);
  if (spec_.output_gate) open_gates_backward();
  const bool sinks = spec_.sinks && weights_.vector[Slot::kSinks].gradient != nullptr;
  attend_backward(pass_.team, pass_.kernels, spec_, pass_.documents, pass_.attention, rows(),
                  {d_heads_, dq_, dk_, dv_, sinks ? d_sinks_ : Rows{}});
  if (sinks) sinks_backward();
  finish_backward(heads_of(Slot::kQNorm, spec_.heads), q_raw_, turned_, dq_);
  finish_backward(heads_of(Slot::kKNorm, spec_.kv_heads), k_raw_, turned_, dk_);
  const std::size_t dim = spec_.head_dim;
  if (spec_.output_gate)
    pass_.each_token([&](std::size_t t) {
      for (std::size_t h = 0; h < spec_.heads; ++h)
        std::copy_n(dq_.row(t) + h * dim, dim, d_mixed_.row(t) + 2 * h * dim);
    });
  q_linear_.backward(pass_, in, d_mixed_, d_in, false);
  k_linear_.backward(pass_, in, dk_, d_in, true);
  v_linear_.backward(pass_, in, dv_, d_in, true);
}

// A head's gate stands behind its q.
void AttentionPart::split_gates() {
  const std::size_t dim = spec_.head_dim;
  pass_.each_token([&](std::size_t t) {
    for (std::size_t h = 0; h < spec_.heads; ++h)
      std::copy_n(mixed_.row(t) + 2 * h * dim, dim, q_raw_.row(t) + h * dim);
  });
}

void AttentionPart::open_gates() {
  const std::size_t dim = spec_.head_dim;
  pass_.each_token([&](std::size_t t) {
    std::copy_n(answers_.row(t), q_size_, heads_.row(t));
    for (std::size_t h = 0; h < spec_.heads; ++h)
      pass_.kernels.sigmoid_mul(mixed_.row(t) + (2 * h + 1) * dim, dim, heads_.row(t) + h * dim);
  });
}

// d_heads_: from the opened heads to the answers; and the gates' own.
void AttentionPart::open_gates_backward() {
  const std::size_t dim = spec_.head_dim;
  pass_.each_token([&](std::size_t t) {
    for (std::size_t h = 0; h < spec_.heads; ++h) {
      const float* answer = answers_.row(t) + h * dim;
      float *d = d_heads_.row(t) + h * dim, *d_gate = d_mixed_.row(t) + (2 * h + 1) * dim;
      pass_.kernels.recurrent.sigmoid(mixed_.row(t) + (2 * h + 1) * dim, dim, d_gate);
      for (std::size_t i = 0; i < dim; ++i) {
        const float s = d_gate[i];
        d_gate[i] = d[i] * answer[i] * (s * (1 - s));
        d[i] *= s;
      }
    }
  });
}

void AttentionPart::sinks_backward() {
  float* gradient = weights_.vector[Slot::kSinks].gradient;
  for (std::size_t t = 0; t < pass_.tokens(); ++t)
    for (std::size_t h = 0; h < spec_.heads; ++h) gradient[h] += d_sinks_.row(t)[h];
}

float AttentionPart::scale_at(std::size_t position) const {
  if (spec_.temperature == 0) return spec_.scale;
  const std::size_t periods = (position + spec_.temperature_offset) / spec_.temperature_length;
  const double grown = std::log(1 + static_cast<double>(periods));
  return static_cast<float>(double{spec_.scale} * (1 + spec_.temperature * grown));
}

void AttentionPart::scale(Rows rows, const Heads& heads) {
  if (!heads.scaled) return;
  pass_.each_token([&](std::size_t t) {
    pass_.kernels.train.scale(rows.row(t), scale_at(pass_.positions[t]),
                              heads.count * spec_.head_dim);
  });
}

void AttentionPart::rotate(const Heads& heads, const std::vector<std::vector<float>>& angles,
                           Rows rows) {
  const std::size_t turned = spec_.rope.dimensions;
  if (turned == 0) return;
  pass_.each_token([&](std::size_t t) {
    const float* cos = angles[rope_].data() + pass_.positions[t] * turned;
    for (std::size_t h = 0; h < heads.count; ++h)
      pass_.kernels.rope(rows.row(t) + h * spec_.head_dim, cos, cos + turned / 2, turned,
                         spec_.rope.neox);
  });
}

// Norm and rotation of every head; q takes the scores' scale.
void AttentionPart::finish(const Heads& heads, Rows raw, Rows out) {
  const bool after = spec_.qk_norm == QkNorm::kHeadAfterRope;
  if (after) {
    pass_.each_token(
        [&](std::size_t t) { std::copy_n(raw.row(t), heads.count * spec_.head_dim, out.row(t)); });
  } else if (spec_.qk_norm != QkNorm::kNone) {
    norm_rows(pass_, heads.norm, raw, out);
  }
  rotate(heads, pass_.turn, out);
  if (after) norm_rows(pass_, heads.norm, out, out);
  scale(out, heads);
}

// d: from the finished heads to what the projection gave. `turned`: room for them.
void AttentionPart::finish_backward(const Heads& heads, Rows raw, Rows turned, Rows d) {
  scale(d, heads);
  if (spec_.qk_norm == QkNorm::kHeadAfterRope) {
    pass_.each_token([&](std::size_t t) {
      std::copy_n(raw.row(t), heads.count * spec_.head_dim, turned.row(t));
    });
    rotate(heads, pass_.turn, turned);
    norm_rows_backward(pass_, heads.norm, turned, d, d);
    return rotate(heads, pass_.turn_back, d);
  }
  rotate(heads, pass_.turn_back, d);
  if (spec_.qk_norm != QkNorm::kNone) norm_rows_backward(pass_, heads.norm, raw, d, d);
}

}  // namespace lathe::infer
