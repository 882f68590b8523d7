// Mamba-2 over the tokens of one step.
#include "infer/cpu/mamba2.h"

#include "infer/cpu/short_convolution.h"

namespace lathe::infer {

Mamba2::Mamba2(const Model& model, std::size_t layer)
    : spec_(std::get<Mamba2Spec>(model.blueprint().layers[layer].mixer)),
      weights_(model.layers()[layer]),
      layer_(layer),
      epsilon_(model.blueprint().norm_epsilon) {}

// scratch.mixed: of each token the heads' gates, what is convolved, and the time steps.
void Mamba2::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  const Step::Linear input{Slot::kStateInput, s.mixed.data()};
  step.multiply_linears(layer_, s.normed, {&input, 1});
  convolve(step);
  move_states(step);
  finish_heads(step);
  const Step::Linear output{Slot::kStateOutput, s.branch.data()};
  step.multiply_linears(layer_, s.heads, {&output, 1});
}

float* Mamba2::state(const Step& step, const Step::Run& run) const {
  std::byte* all = step.tokens[run.first].memory->state();
  return reinterpret_cast<float*>(all + step.layout->place(layer_).offset);
}

// scratch.convolved: inputs, then what writes the states and what reads them, group by group; time
// steps and decays.
void Mamba2::convolve(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t channels = spec_.channels(), row = spec_.projected();
  const ShortConvolution convolution{.weights = weights_.vector[Slot::kConvolution].data(),
                                     .bias = weights_.vector[Slot::kConvolutionBias].data(),
                                     .channels = channels,
                                     .taps = spec_.convolution};
  for (const Step::Run& run : step.runs)
    convolution.run(step, run.count,
                    {.input = s.mixed.data() + run.first * row + spec_.inner(),
                     .input_stride = row,
                     .output = s.convolved.data() + run.first * channels,
                     .output_stride = channels},
                    state(step, run) + spec_.inner() * spec_.states);
  const RecurrentKernels& kernels = step.kernels().recurrent;
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    kernels.silu(s.convolved.data() + t * channels, channels);
    const float* raw = s.mixed.data() + t * row + spec_.inner() + channels;
    const float* bias = weights_.vector[Slot::kDecayBias].data();
    kernels.softplus(raw, bias, spec_.heads, scalars(step, t));
    kernels.decay(raw, bias, weights_.vector[Slot::kDecayRate].data(), spec_.heads,
                  scalars(step, t) + spec_.heads);
  });
}

// scratch.heads: what each head answers.
void Mamba2::move_states(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t heads = spec_.heads, channels = spec_.channels();
  s.heads.shape(spec_.inner());
  step.team->run(step.runs.size() * heads, [&](std::size_t item, int) {
    const Step::Run& run = step.runs[item / heads];
    const std::size_t h = item % heads, group = h / (heads / spec_.groups);
    const float* row = s.convolved.data() + run.first * channels;
    const float* written = row + spec_.inner() + group * spec_.states;
    const float* scalar = scalars(step, run.first);
    step.kernels().recurrent.scan({.state = state(step, run) + h * spec_.head_dim * spec_.states,
                                   .states = spec_.states,
                                   .size = spec_.head_dim,
                                   .tokens = run.count,
                                   .x = row + h * spec_.head_dim,
                                   .b = written,
                                   .c = written + spec_.groups * spec_.states,
                                   .stride = channels,
                                   .decay = scalar + heads + h,
                                   .dt = scalar + h,
                                   .scalar_stride = kScalars * heads,
                                   .skip = weights_.vector[Slot::kSkip][h],
                                   .out = s.heads.row(run.first) + h * spec_.head_dim,
                                   .out_stride = spec_.inner()});
  });
}

// The answers times silu of their gates, and the norm of each group's.
void Mamba2::finish_heads(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::size_t inner = spec_.inner(), group = inner / spec_.groups;
  const float* norm = weights_.vector[Slot::kStateNorm].data();
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* row = s.heads.row(t);
    kernels.silu_mul(s.mixed.data() + t * spec_.projected(), row, inner, row);
    for (std::size_t at = 0; at < inner; at += group)
      kernels.rms_norm(row + at, norm + at, group, epsilon_, row + at);
    s.heads.quantize(kernels, t, 0, inner);
  });
}

}  // namespace lathe::infer
