// The backward passes as plain loops, for every instruction set; train_kernels.h says what each
// computes and in which order. Included after elementwise.inl.
#include "infer/kernels/train_kernels.h"

namespace lathe::infer {
namespace {

[[maybe_unused]] float dot_of_rows(const float* a, const float* b, std::size_t n) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j)
      lanes[j] = __builtin_fmaf(a[i + j], b[i + j], lanes[j]);
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] = __builtin_fmaf(a[i + j], b[i + j], lanes[j]);
  return fold_sum(lanes);
}

[[maybe_unused]] void scale_row(float* x, float factor, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

[[maybe_unused]] void silu_mul_backward(const float* gate, const float* up, const float* d_hidden,
                                        std::size_t n, float* d_gate, float* d_up) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i], u = up[i], d = d_hidden[i];
    const float s = 1.0f / (1.0f + exp1(-g));
    d_gate[i] = d * u * (s * __builtin_fmaf(g, 1.0f - s, 1.0f));
    d_up[i] = d * (g * s);
  }
}

[[maybe_unused]] float rms_norm_backward(const float* x, const float* weight, const float* d_out,
                                         std::size_t n, float eps, float* dx) {
  float squares[kLanes] = {}, along[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) {
      squares[j] = __builtin_fmaf(x[i + j], x[i + j], squares[j]);
      along[j] = __builtin_fmaf(d_out[i + j] * weight[i + j], x[i + j], along[j]);
    }
  for (std::size_t j = 0; i + j < n; ++j) {
    squares[j] = __builtin_fmaf(x[i + j], x[i + j], squares[j]);
    along[j] = __builtin_fmaf(d_out[i + j] * weight[i + j], x[i + j], along[j]);
  }
  const float size = static_cast<float>(n);
  const float f = 1.0f / __builtin_sqrtf(fold_sum(squares) / size + eps);
  const float back = fold_sum(along) / size * f * f * f;
  for (i = 0; i < n; ++i) dx[i] += __builtin_fmaf(d_out[i] * weight[i], f, -(x[i] * back));
  return f;
}

[[maybe_unused]] void rms_weight_backward(const float* x, float f, const float* d_out,
                                          std::size_t n, float* dw) {
  for (std::size_t i = 0; i < n; ++i) dw[i] = __builtin_fmaf(d_out[i], x[i] * f, dw[i]);
}

[[maybe_unused]] void softmax_backward(const float* p, float dot, std::size_t n, float* dp) {
  for (std::size_t i = 0; i < n; ++i) dp[i] = p[i] * (dp[i] - dot);
}

[[maybe_unused]] void adam(const AdamArgs& args) {
  const float keep1 = 1.0f - args.beta1, keep2 = 1.0f - args.beta2;
  for (std::size_t i = 0; i < args.count; ++i) {
    const float g = args.gradient[i] * args.scale;
    const float m = __builtin_fmaf(args.first[i], args.beta1, keep1 * g);
    const float v = __builtin_fmaf(args.second[i], args.beta2, keep2 * g * g);
    args.first[i] = m;
    args.second[i] = v;
    const float step = m / (__builtin_sqrtf(v * args.second_scale) + args.epsilon);
    args.value[i] = __builtin_fmaf(args.value[i], args.decay, -(args.rate * step));
  }
}

template <void (*kTile)(const TileArgs&)>
constexpr TrainKernels train_kernels() {
  return {kTile,
          dot_of_rows,
          scale_row,
          silu_mul_backward,
          rms_norm_backward,
          rms_weight_backward,
          softmax_backward,
          adam};
}

}  // namespace
}  // namespace lathe::infer
