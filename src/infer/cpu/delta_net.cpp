// A gated delta net over the tokens of one step.
#include "infer/cpu/delta_net.h"

#include <cmath>

#include "infer/cpu/short_convolution.h"

namespace lathe::infer {

DeltaNet::DeltaNet(const Model& model, std::size_t layer)
    : spec_(std::get<DeltaNetSpec>(model.blueprint().layers[layer].mixer)),
      weights_(model.layers()[layer]),
      layer_(layer),
      epsilon_(model.blueprint().norm_epsilon) {}

void DeltaNet::run(Step& step) const {
  ForwardScratch& s = step.scratch;
  project(step);
  convolve(step);
  move_states(step);
  finish_heads(step);
  const Step::Linear output{Slot::kStateOutput, s.branch.data()};
  step.multiply_linears(layer_, s.heads, {&output, 1});
}

// scratch.mixed: q, k and v; scratch.q: the heads' gates; and the two numbers of each value head.
void DeltaNet::project(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t heads = spec_.value_heads, tokens = step.tokens.size();
  float* small = s.convolved.data();  // free until the convolution
  const Step::Linear joint[] = {
      {Slot::kMixed, s.mixed.data()}, {Slot::kMixedGate, s.q.data()}, {Slot::kBetaDecay, small}};
  const Step::Linear apart[] = {{Slot::kMixed, s.mixed.data()},
                                {Slot::kMixedGate, s.q.data()},
                                {Slot::kBeta, small},
                                {Slot::kDecay, small + tokens * heads}};
  step.multiply_linears(layer_, s.normed,
                        spec_.joint_scalars ? std::span<const Step::Linear>(joint) : apart);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t h = 0; h < heads; ++h) {
      const std::size_t shared = spec_.shared();
      const std::size_t at = t * 2 * heads + h / shared * 2 * shared + h % shared;
      float* to = scalars(step, t);
      to[h] = spec_.joint_scalars ? small[at] : small[t * heads + h];
      to[heads + h] = spec_.joint_scalars ? small[at + shared] : small[(tokens + t) * heads + h];
    }
}

float* DeltaNet::state(const Step& step, const Step::Run& run) const {
  std::byte* all = step.tokens[run.first].memory->state();
  return reinterpret_cast<float*>(all + step.layout->place(layer_).offset);
}

// scratch.convolved: q and k of unit length (q divided by √size), and v; beta and decay.
void DeltaNet::convolve(Step& step) const {
  const std::size_t channels = spec_.channels();
  const ShortConvolution convolution{.weights = weights_.vector[Slot::kConvolution].data(),
                                     .bias = nullptr,
                                     .channels = channels,
                                     .taps = spec_.convolution};
  for (const Step::Run& run : step.runs)
    convolution.run(step, run.count,
                    {.input = step.scratch.mixed.data() + run.first * channels,
                     .input_stride = channels,
                     .output = step.scratch.convolved.data() + run.first * channels,
                     .output_stride = channels},
                    state(step, run) + spec_.value_heads * spec_.size * spec_.size);
  step.team->run(step.tokens.size(), [&](std::size_t t, int) { finish_token(step, t); });
}

void DeltaNet::finish_token(Step& step, std::size_t t) const {
  const RecurrentKernels& kernels = step.kernels().recurrent;
  const std::size_t size = spec_.size, keys = spec_.key_heads, heads = spec_.value_heads;
  float* row = step.scratch.convolved.data() + t * spec_.channels();
  kernels.silu(row, spec_.channels());
  for (std::size_t h = 0; h < 2 * keys; ++h)
    kernels.unit_norm(row + h * size, size, epsilon_,
                      h < keys ? 1 / std::sqrt(static_cast<float>(size)) : 1.0f);
  float* scalar = scalars(step, t);
  kernels.sigmoid(scalar, heads, scalar + 2 * heads);
  kernels.decay(scalar + heads, weights_.vector[Slot::kDecayBias].data(),
                weights_.vector[Slot::kDecayRate].data(), heads, scalar + 3 * heads);
}

// scratch.heads: what each value head answers.
void DeltaNet::move_states(Step& step) const {
  ForwardScratch& s = step.scratch;
  const std::size_t size = spec_.size, keys = spec_.key_heads, heads = spec_.value_heads;
  s.heads.shape(spec_.values());
  step.team->run(step.runs.size() * heads, [&](std::size_t item, int) {
    const Step::Run& run = step.runs[item / heads];
    const std::size_t h = item % heads, channels = spec_.channels();
    const float* row = s.convolved.data() + run.first * channels;
    const float* scalar = scalars(step, run.first);
    step.kernels().recurrent.delta({.state = state(step, run) + h * size * size,
                                    .size = size,
                                    .tokens = run.count,
                                    .q = row + spec_.key_head(h) * size,
                                    .k = row + (keys + spec_.key_head(h)) * size,
                                    .v = row + (2 * keys + h) * size,
                                    .stride = channels,
                                    .decay = scalar + 3 * heads + h,
                                    .beta = scalar + 2 * heads + h,
                                    .scalar_stride = kScalars * heads,
                                    .out = s.heads.row(run.first) + h * size,
                                    .out_stride = spec_.values()});
  });
}

// Each answer's norm, times silu of its gate.
void DeltaNet::finish_heads(Step& step) const {
  ForwardScratch& s = step.scratch;
  const KernelTable& kernels = step.kernels();
  const std::vector<float>& norm = weights_.vector[Slot::kStateNorm];
  step.team->run(step.tokens.size(), [&](std::size_t t, int) {
    float* row = s.heads.row(t);
    for (std::size_t h = 0; h < spec_.value_heads; ++h)
      kernels.rms_norm(row + h * spec_.size, norm.data(), spec_.size, epsilon_,
                       row + h * spec_.size);
    kernels.silu_mul(s.q.data() + t * spec_.values(), row, spec_.values(), row);
    s.heads.quantize(kernels, t, 0, spec_.values());
  });
}

}  // namespace lathe::infer
