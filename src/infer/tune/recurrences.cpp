// Recurrences backward.
#include "infer/tune/recurrences.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lathe::infer {
namespace {

std::size_t stretch_of(std::size_t tokens) {
  return std::bit_ceil(static_cast<std::size_t>(std::sqrt(static_cast<double>(tokens))) + 1);
}

// Floats of the states that walk_back() holds.
std::size_t state_floats(std::size_t state, std::size_t tokens) {
  const std::size_t stretch = stretch_of(tokens), stretches = (tokens + stretch - 1) / stretch;
  return (stretches + stretch + 1) * state;
}

// head.token_backward(token, state before it, state behind it) from the last token to the first;
// head.advance(state, first, count) moves a state on.
void walk_back(const auto& head, std::size_t state, std::size_t tokens, float* room) {
  const std::size_t stretch = stretch_of(tokens), stretches = (tokens + stretch - 1) / stretch;
  float* within = room + stretches * state;  // behind a state for each stretch
  std::fill_n(room, state, 0.0f);
  for (std::size_t s = 0; s + 1 < stretches; ++s) {
    std::copy_n(room + s * state, state, room + (s + 1) * state);
    head.advance(room + (s + 1) * state, s * stretch, stretch);
  }
  for (std::size_t s = stretches; s-- > 0;) {
    const std::size_t from = s * stretch, count = std::min(stretch, tokens - from);
    std::copy_n(room + s * state, state, within);
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(within + i * state, state, within + (i + 1) * state);
      head.advance(within + (i + 1) * state, from + i, 1);
    }
    for (std::size_t i = count; i-- > 0;)
      head.token_backward(from + i, within + i * state, within + (i + 1) * state);
  }
}

struct DeltaHead {
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

struct ScanHead {
  const KernelTable& kernels;
  const ScanArgs& args;
  const ScanGradients& to;
  float* state_gradient;              // (states, size)
  float *answer, *change, *d_change;  // (size)

  void advance(float* state, std::size_t from, std::size_t count) const {
    ScanArgs part = args;
    part.state = state;
    part.tokens = count;
    part.x += from * args.stride;
    part.b += from * args.stride;
    part.c += from * args.stride;
    part.decay += from * args.scalar_stride;
    part.dt += from * args.scalar_stride;
    part.out = answer;
    part.out_stride = 0;
    kernels.recurrent.scan(part);
  }

  // change = dt·x, behind = decay·before + b·changeᵀ, out = behindᵀc + skip·x.
  void token_backward(std::size_t t, const float* before, const float* behind) const {
    const std::size_t n = args.size;
    const float *x = args.x + t * args.stride, *b = args.b + t * args.stride;
    const float* c = args.c + t * args.stride;
    const float decay = args.decay[t * args.scalar_stride], dt = args.dt[t * args.scalar_stride];
    const float* d_out = to.d_out + t * to.d_out_stride;
    float *db = to.db + t * args.stride, *dc = to.dc + t * args.stride;
    float *dx = to.dx + t * args.stride, d_decay = 0, d_dt = 0;
    for (std::size_t j = 0; j < n; ++j) change[j] = dt * x[j];
    std::fill_n(d_change, n, 0.0f);
    for (std::size_t i = 0; i < args.states; ++i) {
      float* g = state_gradient + i * n;
      kernels.add_scaled(d_out, c[i], n, g);
      dc[i] += kernels.train.dot(behind + i * n, d_out, n);
      db[i] += kernels.train.dot(g, change, n);
      kernels.add_scaled(g, b[i], n, d_change);
      d_decay += kernels.train.dot(g, before + i * n, n);
      kernels.train.scale(g, decay, n);
    }
    for (std::size_t j = 0; j < n; ++j) {
      d_dt += d_change[j] * x[j];
      dx[j] = dt * d_change[j] + args.skip * d_out[j];
    }
    to.d_decay[t * args.scalar_stride] = d_decay;
    to.d_dt[t * args.scalar_stride] = d_dt;
  }
};

}  // namespace

std::size_t delta_backward_floats(std::size_t size, std::size_t tokens) {
  return state_floats(size * size, tokens) + size * size + 4 * size;
}

void delta_backward(const KernelTable& kernels, const DeltaArgs& forward,
                    const DeltaGradients& gradients, float* room) {
  const std::size_t n = forward.size, state = n * n;
  float* gradient = room + state_floats(state, forward.tokens);
  float* rows = gradient + state;
  std::fill_n(gradient, state, 0.0f);
  walk_back(DeltaHead{kernels, forward, gradients, n, gradient, rows, rows + n, rows + 2 * n,
                      rows + 3 * n},
            state, forward.tokens, room);
}

std::size_t scan_backward_floats(std::size_t states, std::size_t size, std::size_t tokens) {
  return state_floats(states * size, tokens) + states * size + 3 * size;
}

void scan_backward(const KernelTable& kernels, const ScanArgs& forward,
                   const ScanGradients& gradients, float* room) {
  const std::size_t n = forward.size, state = forward.states * n;
  float* gradient = room + state_floats(state, forward.tokens);
  float* rows = gradient + state;
  std::fill_n(gradient, state, 0.0f);
  walk_back(ScanHead{kernels, forward, gradients, gradient, rows, rows + n, rows + 2 * n}, state,
            forward.tokens, room);
}

}  // namespace lathe::infer
