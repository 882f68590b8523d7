// A delta net's recurrence backward.
#include "infer/tune/delta.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lathe::infer {
namespace {

std::size_t stretch_of(std::size_t tokens) {
  return std::bit_ceil(static_cast<std::size_t>(std::sqrt(static_cast<double>(tokens))) + 1);
}

struct Head {
  const KernelTable& kernels;
  const DeltaArgs& args;
  const DeltaGradients& to;
  std::size_t n;          // of a key, and of a value
  float* state_gradient;  // (n, n) of the state behind a token, then of that before it
  float *answer, *predicted, *change, *d_change;  // (n)

  // `state` moves on over tokens [from, from + count).
  void advance(float* state, std::size_t from, std::size_t count) const {
    DeltaArgs part = args;
    part.state = state;
    part.tokens = count;
    part.q += from * args.stride;
    part.k += from * args.stride;
    part.v += from * args.stride;
    part.decay += from * args.scalar_stride;
    part.beta += from * args.scalar_stride;
    part.out = answer;
    part.out_stride = 0;
    kernels.recurrent.delta(part);
  }

  // With u = decay·before: predicted = uᵀk, change = beta·(v − predicted), behind = u + k·changeᵀ,
  // out = behindᵀq.
  void token_backward(std::size_t t, const float* before, const float* behind) const {
    const float *q = args.q + t * args.stride, *k = args.k + t * args.stride;
    const float* v = args.v + t * args.stride;
    const float decay = args.decay[t * args.scalar_stride];
    const float beta = args.beta[t * args.scalar_stride];
    const float* d_out = to.d_out + t * to.d_out_stride;
    float *dq = to.dq + t * args.stride, *dk = to.dk + t * args.stride;
    float* dv = to.dv + t * args.stride;
    std::fill_n(predicted, n, 0.0f);
    for (std::size_t i = 0; i < n; ++i)
      kernels.add_scaled(before + i * n, decay * k[i], n, predicted);
    for (std::size_t j = 0; j < n; ++j) change[j] = beta * (v[j] - predicted[j]);
    std::fill_n(d_change, n, 0.0f);
    for (std::size_t i = 0; i < n; ++i) {
      float* g = state_gradient + i * n;
      kernels.add_scaled(d_out, q[i], n, g);
      dq[i] += kernels.train.dot(behind + i * n, d_out, n);
      dk[i] += kernels.train.dot(g, change, n);
      kernels.add_scaled(g, k[i], n, d_change);
    }
    float d_beta = 0, d_decay = 0;
    for (std::size_t j = 0; j < n; ++j) {
      d_beta += (v[j] - predicted[j]) * d_change[j];
      dv[j] = beta * d_change[j];
      d_change[j] = -dv[j];  // of what was predicted
    }
    for (std::size_t i = 0; i < n; ++i) {
      float* g = state_gradient + i * n;
      kernels.add_scaled(d_change, k[i], n, g);
      dk[i] += decay * kernels.train.dot(before + i * n, d_change, n);
      d_decay += kernels.train.dot(g, before + i * n, n);
      kernels.train.scale(g, decay, n);
    }
    to.d_beta[t * args.scalar_stride] = d_beta;
    to.d_decay[t * args.scalar_stride] = d_decay;
  }
};

}  // namespace

std::size_t delta_backward_floats(std::size_t size, std::size_t tokens) {
  const std::size_t stretch = stretch_of(tokens), stretches = (tokens + stretch - 1) / stretch;
  return (stretches + stretch + 2) * size * size + 4 * size;
}

void delta_backward(const KernelTable& kernels, const DeltaArgs& forward,
                    const DeltaGradients& gradients, float* room) {
  const std::size_t n = forward.size, state = n * n, tokens = forward.tokens;
  const std::size_t stretch = stretch_of(tokens), stretches = (tokens + stretch - 1) / stretch;
  float* begins = room;                        // a state for each stretch
  float* within = begins + stretches * state;  // those of one stretch, and the one behind it
  float* gradient = within + (stretch + 1) * state;
  float* rows = gradient + state;
  const Head head{kernels, forward,  gradients,    n,           gradient,
                  rows,    rows + n, rows + 2 * n, rows + 3 * n};
  std::fill_n(begins, state, 0.0f);
  for (std::size_t s = 0; s + 1 < stretches; ++s) {
    std::copy_n(begins + s * state, state, begins + (s + 1) * state);
    head.advance(begins + (s + 1) * state, s * stretch, stretch);
  }
  std::fill_n(gradient, state, 0.0f);
  for (std::size_t s = stretches; s-- > 0;) {
    const std::size_t from = s * stretch, count = std::min(stretch, tokens - from);
    std::copy_n(begins + s * state, state, within);
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(within + i * state, state, within + (i + 1) * state);
      head.advance(within + (i + 1) * state, from + i, 1);
    }
    for (std::size_t i = count; i-- > 0;)
      head.token_backward(from + i, within + i * state, within + (i + 1) * state);
  }
}

}  // namespace lathe::infer
