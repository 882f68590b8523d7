// Mamba-2 over the documents of a batch, forward and backward.
#include "infer/tune/mamba2_part.h"

#include <algorithm>

#include "infer/tune/recurrences.h"

namespace lathe::infer {

Mamba2Part::Mamba2Part(TunePass& pass, std::size_t layer)
    : pass_(pass),
      spec_(std::get<Mamba2Spec>(pass.model.blueprint().layers[layer].mixer)),
      weights_(pass.model.layers()[layer]),
      input_{&weights_.linear[Slot::kStateInput]},
      output_{&weights_.linear[Slot::kStateOutput]} {}

// What decays are made of: they multiply each other along a whole document.
void Mamba2Part::take_exact(TakenRows& rows) {
  steps_ = rows.rows(pass_.max_tokens, spec_.heads);
}

void Mamba2Part::take_kept(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  mixed_ = rows.rows(n, spec_.projected());
  answers_ = rows.rows(n, spec_.inner());
  heads_ = rows.rows(n, spec_.inner());
  for (TapedLinear* linear : {&input_, &output_}) linear->take(rows, n);
}

void Mamba2Part::take_scratch(TakenRows& rows) {
  const std::size_t n = pass_.max_tokens;
  for (Rows* each : {&scalars_, &d_scalars_}) *each = rows.rows(n, 2 * spec_.heads);
  for (Rows* each : {&convolved_, &moved_, &d_moved_}) *each = rows.rows(n, spec_.channels());
  for (Rows* each : {&opened_, &d_heads_}) *each = rows.rows(n, spec_.inner());
  d_mixed_ = rows.rows(n, spec_.projected());
}

std::size_t Mamba2Part::thread_floats() const {
  return scan_backward_floats(spec_.states, spec_.head_dim, pass_.longest);
}

ConvolutionRows Mamba2Part::convolution() const {
  return {.channels = spec_.channels(),
          .taps = spec_.convolution,
          .weight = weights_.vector[Slot::kConvolution],
          .bias = weights_.vector[Slot::kConvolutionBias]};
}

NormRows Mamba2Part::group_norm() const {
  return {.weight = weights_.vector[Slot::kStateNorm],
          .size = spec_.inner() / spec_.groups,
          .pieces = spec_.groups,
          .own_weights = true};
}

void Mamba2Part::forward(Rows in, Rows out, bool wanted) {
  input_.forward(pass_, in, mixed_);
  pass_.each_token([&](std::size_t t) {
    std::copy_n(mixed_.row(t) + spec_.inner() + spec_.channels(), spec_.heads, steps_.row(t));
  });
  convolve_documents(pass_, convolution(), convolved_of(mixed_), convolved_);
  finish_tokens();
  move_states();
  open_gates(heads_);
  norm_rows(pass_, group_norm(), heads_, heads_);
  if (wanted || output_.adapted()) output_.forward(pass_, heads_, out);
}

void Mamba2Part::backward(Rows in, Rows d_out, Rows d_in) {
  output_.backward(pass_, heads_, d_out, d_heads_, false);
  open_gates(opened_);
  norm_rows_backward(pass_, group_norm(), opened_, d_heads_, d_heads_);
  pass_.each_token([&](std::size_t t) {
    pass_.kernels.train.silu_mul_backward(mixed_.row(t), answers_.row(t), d_heads_.row(t),
                                          spec_.inner(), d_mixed_.row(t), d_heads_.row(t));
  });
  convolve_documents(pass_, convolution(), convolved_of(mixed_), convolved_);
  finish_tokens();
  move_states_backward();
  skip_backward();
  pass_.each_token([&](std::size_t t) {
    silu_backward(pass_.kernels, convolved_.row(t), spec_.channels(), d_moved_.row(t));
  });
  convolve_documents_backward(pass_, convolution(), convolved_of(mixed_), d_moved_,
                              convolved_of(d_mixed_));
  steps_backward();
  input_.backward(pass_, in, d_mixed_, d_in, false);
}

// moved_: inputs, then what writes the states and what reads them; time steps and decays.
void Mamba2Part::finish_tokens() {
  const RecurrentKernels& kernels = pass_.kernels.recurrent;
  const float* bias = weights_.vector[Slot::kDecayBias].value;
  pass_.each_token([&](std::size_t t) {
    std::copy_n(convolved_.row(t), spec_.channels(), moved_.row(t));
    kernels.silu(moved_.row(t), spec_.channels());
    kernels.softplus(steps_.row(t), bias, spec_.heads, scalars_.row(t));
    kernels.decay(steps_.row(t), bias, weights_.vector[Slot::kDecayRate].value, spec_.heads,
                  scalars_.row(t) + spec_.heads);
  });
}

// out = the answers times silu of their gates.
void Mamba2Part::open_gates(Rows out) {
  pass_.each_token([&](std::size_t t) {
    pass_.kernels.silu_mul(mixed_.row(t), answers_.row(t), spec_.inner(), out.row(t));
  });
}

ScanArgs Mamba2Part::head_of(const Document& document, std::size_t h) const {
  const float* row = moved_.row(document.first);
  const float* written = row + spec_.inner() + group_of(h) * spec_.states;
  return {.state = nullptr,
          .states = spec_.states,
          .size = spec_.head_dim,
          .tokens = document.count,
          .x = row + h * spec_.head_dim,
          .b = written,
          .c = written + spec_.groups * spec_.states,
          .stride = moved_.stride,
          .decay = scalars_.row(document.first) + spec_.heads + h,
          .dt = scalars_.row(document.first) + h,
          .scalar_stride = scalars_.stride,
          .skip = weights_.vector[Slot::kSkip].value[h],
          .out = answers_.row(document.first) + h * spec_.head_dim,
          .out_stride = answers_.stride};
}

void Mamba2Part::move_states() {
  pass_.team.run(pass_.documents.size() * spec_.heads, [&](std::size_t item, int thread) {
    ScanArgs args = head_of(pass_.documents[item / spec_.heads], item % spec_.heads);
    args.state = pass_.room(thread);
    std::fill_n(args.state, spec_.states * spec_.head_dim, 0.0f);
    pass_.kernels.recurrent.scan(args);
  });
}

// d_moved_ and d_scalars_ of d_heads_, by now that of the answers: the heads of a group one after
// the other.
void Mamba2Part::move_states_backward() {
  const std::size_t groups = spec_.groups, each = spec_.heads / groups;
  pass_.each_token([&](std::size_t t) { std::fill_n(d_moved_.row(t), spec_.channels(), 0.0f); });
  pass_.team.run(pass_.documents.size() * groups, [&](std::size_t item, int thread) {
    const Document& document = pass_.documents[item / groups];
    const std::size_t group = item % groups;
    float* d = d_moved_.row(document.first);
    float* d_written = d + spec_.inner() + group * spec_.states;
    for (std::size_t h = group * each; h < (group + 1) * each; ++h)
      scan_backward(pass_.kernels, head_of(document, h),
                    {.d_out = d_heads_.row(document.first) + h * spec_.head_dim,
                     .d_out_stride = d_heads_.stride,
                     .dx = d + h * spec_.head_dim,
                     .db = d_written,
                     .dc = d_written + groups * spec_.states,
                     .d_decay = d_scalars_.row(document.first) + spec_.heads + h,
                     .d_dt = d_scalars_.row(document.first) + h},
                    pass_.room(thread));
  });
}

void Mamba2Part::skip_backward() {
  float* gradient = weights_.vector[Slot::kSkip].gradient;
  if (gradient == nullptr) return;
  const std::size_t n = spec_.head_dim;
  pass_.team.run(spec_.heads, [&](std::size_t h, int) {
    for (std::size_t t = 0; t < pass_.tokens(); ++t)
      gradient[h] += pass_.kernels.train.dot(moved_.row(t) + h * n, d_heads_.row(t) + h * n, n);
  });
}

// d_mixed_'s time steps: both what they are and what decays are made of, exp(rate·softplus(…)).
void Mamba2Part::steps_backward() {
  const std::size_t heads = spec_.heads, at = spec_.inner() + spec_.channels();
  const Weights &bias = weights_.vector[Slot::kDecayBias],
                &rate = weights_.vector[Slot::kDecayRate];
  pass_.each_token([&](std::size_t t) {
    const float *scalar = scalars_.row(t), *step = steps_.row(t);
    float *d = d_scalars_.row(t), *to = d_mixed_.row(t) + at;
    for (std::size_t h = 0; h < heads; ++h) {
      d[heads + h] *= scalar[heads + h];  // of rate·softplus
      to[h] = step[h] + bias.value[h];
    }
    pass_.kernels.recurrent.sigmoid(to, heads, to);
    for (std::size_t h = 0; h < heads; ++h) to[h] *= d[h] + d[heads + h] * rate.value[h];
  });
  if (bias.gradient == nullptr) return;
  for (std::size_t t = 0; t < pass_.tokens(); ++t)
    for (std::size_t h = 0; h < heads; ++h) {
      bias.gradient[h] += d_mixed_.row(t)[at + h];
      rate.gradient[h] += d_scalars_.row(t)[heads + h] * scalars_.row(t)[h];
    }
}

}  // namespace lathe::infer
