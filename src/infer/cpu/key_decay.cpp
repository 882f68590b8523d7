// Kimi's delta attention over the tokens of one step.
#include "infer/cpu/key_decay.h"

#include <algorithm>
#include <cmath>

#include "infer/cpu/short_convolution.h"

namespace lathe::infer {

KeyDecay::KeyDecay(const Model& model, std::size_t layer)
    : spec_(std::get<KeyDecaySpec>(model.blueprint().layers[layer].mixer)),
      weights_(model.layers()[layer]),
      layer_(layer),
      epsilon_(model.blueprint().norm_epsilon) {
  for (const float rate : weights_.vector[Slot::kDecayRate])
    rates_.insert(rates_.end(), spec_.size, rate);
}

void KeyDecay::run(Step& step) const {
  project(step);
  convolve(step);
  move_states(step);
  finish_heads(step);
  const Step::Linear output{Slot::kAttentionOutput, step.scratch.branch.data()};
  step.multiply_linears(layer_, step.scratch.heads, {&output, 1});
}

// out (tokens, values) = up·(down·x).
void KeyDecay::through_rank(Step& step, Slot down, Slot up, float* out) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear first{down, out}, second{up, out};
  step.multiply_linears(layer_, s.normed, {&first, 1});
  s.low.shape(spec_.rank);
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    std::copy_n(out + t * spec_.rank, spec_.rank, s.low.row(t));
    s.low.quantize(step.kernels(), t, 0, spec_.rank);
  });
  step.multiply_linears(layer_, s.low, {&second, 1});
}

// scratch.mixed: q, k and v, each of all tokens; scratch.q: the gates; and decays and betas.
void KeyDecay::project(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::size_t tokens = step.tokens.size(), values = spec_.values();
  float *decays = s.convolved.data(), *betas = decays + tokens * values;  // free until then
  const Step::Linear inputs[] = {{Slot::kQ, s.mixed.data()},
                                 {Slot::kK, s.mixed.data() + tokens * values},
                                 {Slot::kV, s.mixed.data() + 2 * tokens * values},
                                 {Slot::kBeta, betas}};
  step.multiply_linears(layer_, s.normed, inputs);
  through_rank(step, Slot::kDecayDown, Slot::kDecayUp, decays);
  through_rank(step, Slot::kGateDown, Slot::kGateUp, s.q.data());
  step.team->run(tokens, [&](std::size_t t, int) {
    float* row = s.scalars.data() + t * scalars(spec_);
    kernels.recurrent.decay(decays + t * values, weights_.vector[Slot::kDecayBias].data(),
                            rates_.data(), values, row);
    kernels.recurrent.sigmoid(betas + t * spec_.heads, spec_.heads, row + values);
  });
}

float* KeyDecay::state(const Step& step, const Step::Run& run) const {
  std::byte* all = step.tokens[run.first].memory->state();
  return reinterpret_cast<float*>(all + step.layout->place(layer_).offset);
}

// scratch.convolved, as scratch.mixed: q and k of unit length (q divided by √size), and v.
void KeyDecay::convolve(Step& step) const {
  ForwardScratch& s = step.scratch;
  const RecurrentKernels& kernels = step.kernels().recurrent;
  const std::size_t tokens = step.tokens.size(), values = spec_.values(), size = spec_.size;
  constexpr Slot kConvolutions[] = {Slot::kQConvolution, Slot::kKConvolution, Slot::kVConvolution};
  for (std::size_t i = 0; i < 3; ++i) {
    const ShortConvolution convolution{.weights = weights_.vector[kConvolutions[i]].data(),
                                       .bias = nullptr,
                                       .channels = values,
                                       .taps = spec_.convolution};
    for (const Step::Run& run : step.runs) {
      const std::size_t at = (i * tokens + run.first) * values;
      convolution.run(step, run.count,
                      {.input = s.mixed.data() + at,
                       .input_stride = values,
                       .output = s.convolved.data() + at,
                       .output_stride = values},
                      state(step, run) + values * size + i * (spec_.convolution - 1) * values);
    }
  }
  step.team->run(3 * tokens, [&](std::size_t row, int) {
    float* x = s.convolved.data() + row * values;
    kernels.silu(x, values);
    if (row >= 2 * tokens) return;
    const float scale = row < tokens ? 1 / std::sqrt(static_cast<float>(size)) : 1.0f;
    for (std::size_t h = 0; h < spec_.heads; ++h)
      kernels.unit_norm(x + h * size, size, epsilon_, scale);
  });
}

// scratch.heads: what each head answers.
void KeyDecay::move_states(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t tokens = step.tokens.size(), values = spec_.values(), size = spec_.size;
  s.heads.shape(values);
  step.team->run(step.runs.size() * spec_.heads, [&](std::size_t item, int) {
    const Step::Run& run = step.runs[item / spec_.heads];
    const std::size_t h = item % spec_.heads;
    const float* row = s.convolved.data() + run.first * values + h * size;
    const float* scalar = s.scalars.data() + run.first * scalars(spec_);
    step.kernels().recurrent.delta({.state = state(step, run) + h * size * size,
                                    .size = size,
                                    .tokens = run.count,
                                    .q = row,
                                    .k = row + tokens * values,
                                    .v = row + 2 * tokens * values,
                                    .stride = values,
                                    .decay = scalar + h * size,
                                    .beta = scalar + values + h,
                                    .scalar_stride = scalars(spec_),
                                    .out = s.heads.row(run.first) + h * size,
                                    .out_stride = values,
                                    .each_key = true});
  });
}

// Each answer's norm, times the sigmoid of its gate.
void KeyDecay::finish_heads(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::vector<float>& norm = weights_.vector[Slot::kStateNorm];
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* row = s.heads.row(t);
    for (std::size_t h = 0; h < spec_.heads; ++h)
      kernels.rms_norm(row + h * spec_.size, norm.data(), spec_.size, epsilon_,
                       row + h * spec_.size);
    kernels.sigmoid_mul(s.q.data() + t * spec_.values(), spec_.values(), row);
    s.heads.quantize(kernels, t, 0, spec_.values());
  });
}

}  // namespace lathe::infer
