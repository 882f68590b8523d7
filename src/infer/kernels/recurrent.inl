// The recurrent layers' kernels as plain loops, for every instruction set; recurrent_kernels.h says
// what each computes and in which order. Included after elementwise.inl.
#include "infer/kernels/recurrent_kernels.h"

namespace lathe::infer {
namespace {

// kTaps 0: any number.
template <std::size_t kTaps>
void convolve_taps(const float* const* rows, const float* w, const float* bias, std::size_t any,
                   std::size_t n, float* out) {
  const std::size_t taps = kTaps != 0 ? kTaps : any;
  for (std::size_t c = 0; c < n; ++c) {
    float sum = bias == nullptr ? w[c * taps] * rows[0][c]
                                : __builtin_fmaf(w[c * taps], rows[0][c], bias[c]);
    for (std::size_t j = 1; j < taps; ++j) sum = __builtin_fmaf(w[c * taps + j], rows[j][c], sum);
    out[c] = sum;
  }
}

[[maybe_unused]] void convolve(const float* const* rows, const float* w, const float* bias,
                               std::size_t taps, std::size_t n, float* out) {
  (taps == 4 ? convolve_taps<4> : convolve_taps<0>)(rows, w, bias, taps, n, out);
}

[[maybe_unused]] void silu(float* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = x[i] / (1.0f + exp1(-x[i]));
}

[[maybe_unused]] void sigmoid(const float* x, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = 1.0f / (1.0f + exp1(-x[i]));
}

[[maybe_unused]] void unit_norm(float* x, std::size_t n, float eps, float scale) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j)
      lanes[j] = __builtin_fmaf(x[i + j], x[i + j], lanes[j]);
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] = __builtin_fmaf(x[i + j], x[i + j], lanes[j]);
  const float factor = scale / larger(__builtin_sqrtf(fold_sum(lanes)), eps);
  for (i = 0; i < n; ++i) x[i] *= factor;
}

// log(1 + e^x) = max(x, 0) + log(1 + y), y = e^−|x|; with z = y / (2 + y) ≤ 1/3 the logarithm is
// 2·(z + z³/3 + z⁵/5 + …), here up to z²¹/21, which is below a rounding of float.
inline float softplus1(float x) {
  const float magnitude = __builtin_fabsf(x);
  const double y = static_cast<double>(exp1(-magnitude));
  const double z = y / (2.0 + y), square = z * z;
  double sum = 1.0 / 21;
  for (int k = 19; k > 0; k -= 2) sum = sum * square + 1.0 / k;
  return static_cast<float>((x > 0.0f ? static_cast<double>(x) : 0.0 * static_cast<double>(x)) +
                            2 * z * sum);
}

[[maybe_unused]] void decay(const float* a, const float* bias, const float* rate, std::size_t n,
                            float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = exp1(rate[i] * softplus1(a[i] + bias[i]));
}

[[maybe_unused]] void softplus(const float* a, const float* bias, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = softplus1(a[i] + bias[i]);
}

// Columns [from, from + width) of the values, token by token. kWidth 0: any width, at most 32.
template <std::size_t kWidth, bool kEachKey>
void delta_columns(const DeltaArgs& args, std::size_t from, std::size_t any) {
  const std::size_t width = kWidth != 0 ? kWidth : any;
  float* state = args.state + from;
  for (std::size_t t = 0; t < args.tokens; ++t) {
    const float *q = args.q + t * args.stride, *k = args.k + t * args.stride;
    const float* v = args.v + t * args.stride + from;
    const float* decay = args.decay + t * args.scalar_stride;
    const float beta = args.beta[t * args.scalar_stride];
    float sum[32] = {};
    for (std::size_t i = 0; i < args.size; ++i) {
      const float* row = state + i * args.size;
      const float keep = decay[kEachKey ? i : 0];
      for (std::size_t j = 0; j < width; ++j) sum[j] = __builtin_fmaf(row[j] * keep, k[i], sum[j]);
    }
    float change[32];
    for (std::size_t j = 0; j < width; ++j) {
      change[j] = (v[j] - sum[j]) * beta;
      sum[j] = 0;
    }
    for (std::size_t i = 0; i < args.size; ++i) {
      float* row = state + i * args.size;
      const float keep = decay[kEachKey ? i : 0];
      for (std::size_t j = 0; j < width; ++j) {
        const float next = __builtin_fmaf(k[i], change[j], row[j] * keep);
        row[j] = next;
        sum[j] = __builtin_fmaf(next, q[i], sum[j]);
      }
    }
    float* out = args.out + t * args.out_stride + from;
    for (std::size_t j = 0; j < width; ++j) out[j] = sum[j];
  }
}

// A few columns at a time: their part of the state stays near while all tokens pass.
template <bool kEachKey>
void delta_heads(const DeltaArgs& args) {
  std::size_t from = 0;
  for (; from + 32 <= args.size; from += 32) delta_columns<32, kEachKey>(args, from, 32);
  for (; from + 16 <= args.size; from += 16) delta_columns<16, kEachKey>(args, from, 16);
  if (from < args.size) delta_columns<0, kEachKey>(args, from, args.size - from);
}

[[maybe_unused]] void delta(const DeltaArgs& args) {
  return args.each_key ? delta_heads<true>(args) : delta_heads<false>(args);
}

template <std::size_t kWidth>
void scan_columns(const ScanArgs& args, std::size_t from, std::size_t any) {
  const std::size_t width = kWidth != 0 ? kWidth : any;
  float* state = args.state + from;
  for (std::size_t t = 0; t < args.tokens; ++t) {
    const float* x = args.x + t * args.stride + from;
    const float *b = args.b + t * args.stride, *c = args.c + t * args.stride;
    const float keep = args.decay[t * args.scalar_stride], dt = args.dt[t * args.scalar_stride];
    float change[32], sum[32] = {};
    for (std::size_t j = 0; j < width; ++j) change[j] = dt * x[j];
    for (std::size_t i = 0; i < args.states; ++i) {
      float* row = state + i * args.size;
      for (std::size_t j = 0; j < width; ++j) {
        const float next = __builtin_fmaf(b[i], change[j], row[j] * keep);
        row[j] = next;
        sum[j] = __builtin_fmaf(next, c[i], sum[j]);
      }
    }
    float* out = args.out + t * args.out_stride + from;
    for (std::size_t j = 0; j < width; ++j) out[j] = __builtin_fmaf(args.skip, x[j], sum[j]);
  }
}

[[maybe_unused]] void scan(const ScanArgs& args) {
  std::size_t from = 0;
  for (; from + 32 <= args.size; from += 32) scan_columns<32>(args, from, 32);
  for (; from + 16 <= args.size; from += 16) scan_columns<16>(args, from, 16);
  if (from < args.size) scan_columns<0>(args, from, args.size - from);
}

constexpr RecurrentKernels recurrent_kernels() {
  return {convolve, silu, sigmoid, unit_norm, decay, softplus, delta, scan};
}

}  // namespace
}  // namespace lathe::infer
