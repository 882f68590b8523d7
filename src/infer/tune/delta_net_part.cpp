// A gated delta net over the documents of a batch, forward and backward.
#include "infer/tune/delta_net_part.h"

#include <algorithm>
#include <cmath>

#include "infer/tune/recurrences.h"

namespace lathe::infer {

DeltaNetPart::DeltaNetPart(TunePass& pass, std::size_t layer)
    : pass_(pass),
      spec_(std::get<DeltaNetSpec>(pass.model.blueprint().layers[layer].mixer)),
      weights_(pass.model.layers()[layer]),
      mixed_linear_{&weights_.linear[Slot::kMixed]},
      gate_linear_{&weights_.linear[Slot::kMixedGate]},
      output_{&weights_.linear[Slot::kStateOutput]},
      beta_linear_{&weights_.linear[Slot::kBeta]},
      decay_linear_{&weights_.linear[Slot::kDecay]},
      joint_linear_{&weights_.linear[Slot::kBetaDecay]} {}

// What decays are made of: they multiply each other along a whole document.
void DeltaNetPart::take_exact(TakenRows& rows) {
  logits_ = rows.rows(pass_.max_tokens, 2 * spec_.value_heads);
}

void DeltaNetPart::take_kept(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  mixed_ = rows.rows(n, spec_.channels());
  gates_ = rows.rows(n, spec_.values());
  answers_ = rows.rows(n, spec_.values());
  heads_ = rows.rows(n, spec_.values());
  for (TapedLinear* linear : {&mixed_linear_, &gate_linear_, &output_}) linear->take(rows, n);
}

void DeltaNetPart::take_scratch(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  small_ = rows.rows(n, 2 * spec_.value_heads);
  scalars_ = rows.rows(n, 2 * spec_.value_heads);
  d_scalars_ = rows.rows(n, 2 * spec_.value_heads);
  // One stride for both: they are read together.
  convolved_ = rows.rows(n, spec_.channels());
  moved_ = rows.rows(n, spec_.channels());
  d_moved_ = rows.rows(n, spec_.channels());
  d_mixed_ = rows.rows(n, spec_.channels());
  d_gates_ = rows.rows(n, spec_.values());
  d_answers_ = rows.rows(n, spec_.values());
}

std::size_t DeltaNetPart::thread_floats() const {
  return delta_backward_floats(spec_.size, pass_.longest);
}

NormRows DeltaNetPart::answer_norm() const {
  return {
      .weight = weights_.vector[Slot::kStateNorm], .size = spec_.size, .pieces = spec_.value_heads};
}

std::size_t DeltaNetPart::joint_place(std::size_t head) const {
  const std::size_t shared = spec_.shared();
  return head / shared * 2 * shared + head % shared;
}

void DeltaNetPart::forward(Rows in, Rows out, bool wanted) {
  mixed_linear_.forward(pass_, in, mixed_);
  gate_linear_.forward(pass_, in, gates_);
  read_scalars(in);
  convolve_documents(pass_, convolution(), mixed_, convolved_);
  finish_tokens();
  move_states();
  norm_rows(pass_, answer_norm(), answers_, heads_);
  pass_.each_token([&](std::size_t t) {
    pass_.kernels.silu_mul(gates_.row(t), heads_.row(t), spec_.values(), heads_.row(t));
  });
  if (wanted || output_.adapted()) output_.forward(pass_, heads_, out);
}

void DeltaNetPart::backward(Rows in, Rows d_out, Rows d_in) {
  output_.backward(pass_, heads_, d_out, d_answers_, false);
  const float* norm = weights_.vector[Slot::kStateNorm].value;
  pass_.each_token([&](std::size_t t) {
    std::vector<float> normed(spec_.values());
    for (std::size_t i = 0; i < spec_.values(); i += spec_.size)
      pass_.kernels.rms_norm(answers_.row(t) + i, norm, spec_.size, pass_.epsilon(),
                             normed.data() + i);
    pass_.kernels.train.silu_mul_backward(gates_.row(t), normed.data(), d_answers_.row(t),
                                          spec_.values(), d_gates_.row(t), d_answers_.row(t));
  });
  norm_rows_backward(pass_, answer_norm(), answers_, d_answers_, d_answers_);
  convolve_documents(pass_, convolution(), mixed_, convolved_);
  finish_tokens();
  move_states_backward();
  finish_tokens_backward();
  convolve_documents_backward(pass_, convolution(), mixed_, d_moved_, d_mixed_);
  mixed_linear_.backward(pass_, in, d_mixed_, d_in, false);
  gate_linear_.backward(pass_, in, d_gates_, d_in, true);
  scalars_backward(in, d_in);
}

// logits_ of all tokens.
void DeltaNetPart::read_scalars(Rows in) {
  const std::size_t heads = spec_.value_heads;
  if (!spec_.joint_scalars) {
    beta_linear_.forward(pass_, in, logits_);
    decay_linear_.forward(pass_, in, {logits_.data + heads, logits_.stride});
    return;
  }
  joint_linear_.forward(pass_, in, small_);
  pass_.each_token([&](std::size_t t) {
    for (std::size_t h = 0; h < heads; ++h) {
      logits_.row(t)[h] = small_.row(t)[joint_place(h)];
      logits_.row(t)[heads + h] = small_.row(t)[joint_place(h) + spec_.shared()];
    }
  });
}

// d_scalars_: from beta and decay to their logits, and from there to `in`.
void DeltaNetPart::scalars_backward(Rows in, Rows d_in) {
  const std::size_t heads = spec_.value_heads;
  const float* bias = weights_.vector[Slot::kDecayBias].value;
  const float* rate = weights_.vector[Slot::kDecayRate].value;
  pass_.each_token([&](std::size_t t) {
    const float *scalar = scalars_.row(t), *logit = logits_.row(t);
    float *d = d_scalars_.row(t), *slope = small_.row(t);
    for (std::size_t h = 0; h < heads; ++h) {
      d[h] *= scalar[h] * (1 - scalar[h]);
      d[heads + h] *= scalar[heads + h];  // of rate·softplus(logit + bias)
      slope[h] = logit[heads + h] + bias[h];
    }
    pass_.kernels.recurrent.sigmoid(slope, heads, slope);
  });
  scalar_vectors_backward();
  pass_.each_token([&](std::size_t t) {
    float* d = d_scalars_.row(t);
    for (std::size_t h = 0; h < heads; ++h) d[heads + h] *= rate[h] * small_.row(t)[h];
  });
  if (!spec_.joint_scalars) {
    beta_linear_.backward(pass_, in, d_scalars_, d_in, true);
    decay_linear_.backward(pass_, in, {d_scalars_.data + heads, d_scalars_.stride}, d_in, true);
    return;
  }
  pass_.each_token([&](std::size_t t) {
    for (std::size_t h = 0; h < heads; ++h) {
      small_.row(t)[joint_place(h)] = d_scalars_.row(t)[h];
      small_.row(t)[joint_place(h) + spec_.shared()] = d_scalars_.row(t)[heads + h];
    }
  });
  joint_linear_.backward(pass_, in, small_, d_in, true);
}

// Of decay = exp(rate·softplus(logit + bias)): small_ holds softplus's slope.
void DeltaNetPart::scalar_vectors_backward() {
  const std::size_t heads = spec_.value_heads;
  const Weights &bias = weights_.vector[Slot::kDecayBias],
                &rate = weights_.vector[Slot::kDecayRate];
  if (bias.gradient == nullptr) return;
  std::vector<float> grown(heads);
  for (std::size_t t = 0; t < pass_.tokens(); ++t) {
    const float *d = d_scalars_.row(t) + heads, *slope = small_.row(t);
    pass_.kernels.recurrent.softplus(logits_.row(t) + heads, bias.value, heads, grown.data());
    for (std::size_t h = 0; h < heads; ++h) {
      rate.gradient[h] += d[h] * grown[h];
      bias.gradient[h] += d[h] * rate.value[h] * slope[h];
    }
  }
}

ConvolutionRows DeltaNetPart::convolution() const {
  return {.channels = spec_.channels(),
          .taps = spec_.convolution,
          .weight = weights_.vector[Slot::kConvolution]};
}

// moved_: q and k of unit length (q divided by √size), and v; beta and decay.
void DeltaNetPart::finish_tokens() {
  const RecurrentKernels& kernels = pass_.kernels.recurrent;
  const std::size_t size = spec_.size, keys = spec_.key_heads, heads = spec_.value_heads;
  pass_.each_token([&](std::size_t t) {
    float* row = moved_.row(t);
    std::copy_n(convolved_.row(t), spec_.channels(), row);
    kernels.silu(row, spec_.channels());
    for (std::size_t h = 0; h < 2 * keys; ++h)
      kernels.unit_norm(row + h * size, size, pass_.epsilon(),
                        h < keys ? 1 / std::sqrt(static_cast<float>(size)) : 1.0f);
    kernels.sigmoid(logits_.row(t), heads, scalars_.row(t));
    kernels.decay(logits_.row(t) + heads, weights_.vector[Slot::kDecayBias].value,
                  weights_.vector[Slot::kDecayRate].value, heads, scalars_.row(t) + heads);
  });
}

// d_moved_: from q, k and v to the convolution's output.
void DeltaNetPart::finish_tokens_backward() {
  const std::size_t size = spec_.size, keys = spec_.key_heads;
  const TrainKernels& train = pass_.kernels.train;
  pass_.each_token([&](std::size_t t) {
    std::vector<float> x(convolved_.row(t), convolved_.row(t) + spec_.channels());
    pass_.kernels.recurrent.silu(x.data(), spec_.channels());
    float* d = d_moved_.row(t);
    for (std::size_t h = 0; h < 2 * keys; ++h) {
      const float* head = x.data() + h * size;
      float* own = d + h * size;
      const float length = std::sqrt(train.dot(head, head, size));
      const float factor = (h < keys ? 1 / std::sqrt(static_cast<float>(size)) : 1.0f) /
                           std::max(length, pass_.epsilon());
      // Along x nothing changes, unless x is too short to be one long.
      const float along =
          length > pass_.epsilon() ? train.dot(head, own, size) / (length * length) : 0;
      for (std::size_t i = 0; i < size; ++i) own[i] = factor * (own[i] - head[i] * along);
    }
    silu_backward(pass_.kernels, convolved_.row(t), spec_.channels(), d);
  });
}

DeltaArgs DeltaNetPart::head_of(const Document& document, std::size_t h) const {
  const std::size_t size = spec_.size, keys = spec_.key_heads;
  const float* row = moved_.row(document.first);
  return {.state = nullptr,
          .size = size,
          .tokens = document.count,
          .q = row + spec_.key_head(h) * size,
          .k = row + (keys + spec_.key_head(h)) * size,
          .v = row + (2 * keys + h) * size,
          .stride = moved_.stride,
          .decay = scalars_.row(document.first) + spec_.value_heads + h,
          .beta = scalars_.row(document.first) + h,
          .scalar_stride = scalars_.stride,
          .out = answers_.row(document.first) + h * size,
          .out_stride = answers_.stride};
}

// answers_: what each value head answers.
void DeltaNetPart::move_states() {
  const std::size_t heads = spec_.value_heads;
  pass_.team.run(pass_.documents.size() * heads, [&](std::size_t item, int thread) {
    DeltaArgs args = head_of(pass_.documents[item / heads], item % heads);
    args.state = pass_.room(thread);
    std::fill_n(args.state, spec_.size * spec_.size, 0.0f);
    pass_.kernels.recurrent.delta(args);
  });
}

// d_moved_ and d_scalars_ of d_answers_: the value heads that share a key head one after the other.
void DeltaNetPart::move_states_backward() {
  const std::size_t size = spec_.size, keys = spec_.key_heads, heads = spec_.value_heads;
  pass_.each_token([&](std::size_t t) { std::fill_n(d_moved_.row(t), spec_.channels(), 0.0f); });
  pass_.team.run(pass_.documents.size() * keys, [&](std::size_t item, int thread) {
    const Document& document = pass_.documents[item / keys];
    const std::size_t key = item % keys;
    float* d = d_moved_.row(document.first);
    for (std::size_t h = 0; h < heads; ++h) {
      if (spec_.key_head(h) != key) continue;
      delta_backward(pass_.kernels, head_of(document, h),
                     {.d_out = d_answers_.row(document.first) + h * size,
                      .d_out_stride = d_answers_.stride,
                      .dq = d + key * size,
                      .dk = d + (keys + key) * size,
                      .dv = d + (2 * keys + h) * size,
                      .d_decay = d_scalars_.row(document.first) + heads + h,
                      .d_beta = d_scalars_.row(document.first) + h},
                     pass_.room(thread));
    }
  });
}

}  // namespace lathe::infer
