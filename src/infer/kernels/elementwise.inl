// The kernels that need no layout, as plain loops: every instruction set compiles its own copy, and
// the compiler makes vectors of it. Sums and maxima run over 16 virtual lanes (element i in lane
// i % 16) that are folded as a fixed tree, and every fused operation is written as one, so that the
// bits do not depend on the width of the vectors.
#include "infer/kernels/exp.inl"
#include "infer/kernels/kernels.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kLanes = 16;

inline float fold_sum(const float* lanes) {
  float s[8];
  for (int i = 0; i < 8; ++i) s[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

// The larger one; a NaN only if both are.
inline float larger(float a, float b) {
  return b > a || a != a ? b : a;
}

inline float fold_max(const float* lanes) {
  float m[8];
  for (int i = 0; i < 8; ++i) m[i] = larger(lanes[i], lanes[i + 8]);
  for (int i = 0; i < 4; ++i) m[i] = larger(m[i], m[i + 4]);
  return larger(larger(m[0], m[2]), larger(m[1], m[3]));
}

// 32 floats → integers and their scale. A block whose scale would be subnormal is zero; one that
// holds an infinity or a NaN is zero with a NaN as its scale.
inline float quantize_block(const float* x, std::int8_t* q) {
  std::uint32_t top = 0;  // of the magnitudes' bits, which order as the magnitudes do
  for (std::size_t i = 0; i < kActivationBlock; ++i) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x[i]) & 0x7fffffffu;
    top = bits > top ? bits : top;
  }
  const float scale = __builtin_bit_cast(float, top) / 127.0f;
  if (top >= 0x7f800000u || scale < 1.17549435e-38f) {
    for (std::size_t i = 0; i < kActivationBlock; ++i) q[i] = 0;
    return top >= 0x7f800000u ? __builtin_nanf("") : 0.0f;
  }
  const float inverse = 1.0f / scale;
  for (std::size_t i = 0; i < kActivationBlock; ++i) {
    const float rounded = x[i] * inverse + kExpMagic;
    q[i] = static_cast<std::int8_t>(__builtin_bit_cast(std::int32_t, rounded) - 0x4b400000);
  }
  return scale;
}

// 32 floats of a KV cache as few bits: what stands for them is scale·(code − kOffset) + min, with
// halves for scale and min.
struct KvCodes {
  std::uint8_t code[kActivationBlock];
  std::uint16_t scale, min;
};

// Whether a block holds an infinity or a NaN.
inline bool is_broken(const float* x) {
  for (std::size_t i = 0; i < kActivationBlock; ++i)
    if ((__builtin_bit_cast(std::uint32_t, x[i]) & 0x7fffffffu) >= 0x7f800000u) return true;
  return false;
}

// 1 / scale; 0 where the scale is 0, infinite or no number.
inline float kv_inverse(std::uint16_t scale) {
  const float inverse = 1.0f / f16_to_f32(scale);
  return inverse - inverse == 0 ? inverse : 0.0f;
}

// x, at least 0 and at most `most`, to the nearest integer, ties to even.
inline std::uint8_t kv_code(float x, float most) {
  x = x > 0 ? x : 0;
  x = x < most ? x : most;
  const float rounded = x + kExpMagic;
  return static_cast<std::uint8_t>(__builtin_bit_cast(std::int32_t, rounded) - 0x4b400000);
}

// Codes 0 … 15 for -8 … 7; the element of largest magnitude becomes -8.
[[maybe_unused]] inline void kv_q4_0(const float* x, KvCodes& out) {
  float extreme = 0;
  for (std::size_t i = 0; i < kActivationBlock; ++i)
    if (__builtin_fabsf(x[i]) > __builtin_fabsf(extreme)) extreme = x[i];
  out.scale = f32_to_f16(is_broken(x) ? __builtin_nanf("") : extreme / -8.0f);
  out.min = 0;
  const float inverse = kv_inverse(out.scale);
  for (std::size_t i = 0; i < kActivationBlock; ++i)
    out.code[i] = inverse == 0 ? 8 : kv_code(x[i] * inverse + 8.0f, 15);
}

// Codes 0 … 31 from the smallest element to the largest.
[[maybe_unused]] inline void kv_q5_1(const float* x, KvCodes& out) {
  float lo = x[0], hi = x[0];
  for (std::size_t i = 1; i < kActivationBlock; ++i) {
    lo = x[i] < lo ? x[i] : lo;
    hi = x[i] > hi ? x[i] : hi;
  }
  out.scale = f32_to_f16(is_broken(x) ? __builtin_nanf("") : (hi - lo) / 31.0f);
  out.min = f32_to_f16(is_broken(x) ? 0.0f : lo);
  const float inverse = kv_inverse(out.scale), min = f16_to_f32(out.min);
  for (std::size_t i = 0; i < kActivationBlock; ++i)
    out.code[i] = inverse == 0 ? 0 : kv_code((x[i] - min) * inverse, 31);
}

[[maybe_unused]] void quantize(const float* x, std::size_t k, std::int8_t* q, float* scale,
                               std::int16_t* sum) {
  for (std::size_t b = 0; b < k / kActivationBlock; ++b, x += 32, q += 32) {
    scale[b] = quantize_block(x, q);
    for (std::size_t h = 0; h < 2; ++h) {
      int total = 0;
      for (std::size_t i = 0; i < 16; ++i) total += q[16 * h + i];
      sum[2 * b + h] = static_cast<std::int16_t>(total);
    }
  }
}

[[maybe_unused]] void rms_norm(const float* x, const float* weight, std::size_t n, float eps,
                               float* out) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j)
      lanes[j] = __builtin_fmaf(x[i + j], x[i + j], lanes[j]);
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] = __builtin_fmaf(x[i + j], x[i + j], lanes[j]);
  const float mean = fold_sum(lanes) / static_cast<float>(n);
  const float factor = 1.0f / __builtin_sqrtf(mean + eps);
  for (i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

[[maybe_unused]] void layer_norm(const float* x, const float* weight, std::size_t n, float eps,
                                 float* out) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += x[i + j];
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] += x[i + j];
  const float mean = fold_sum(lanes) / static_cast<float>(n);
  for (float& lane : lanes) lane = 0;
  for (i = 0; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float d = x[i + j] - mean;
      lanes[j] = __builtin_fmaf(d, d, lanes[j]);
    }
  for (std::size_t j = 0; i + j < n; ++j) {
    const float d = x[i + j] - mean;
    lanes[j] = __builtin_fmaf(d, d, lanes[j]);
  }
  const float variance = fold_sum(lanes) / static_cast<float>(n);
  const float factor = 1.0f / __builtin_sqrtf(variance + eps);
  for (i = 0; i < n; ++i) out[i] = (x[i] - mean) * factor * weight[i];
}

inline float gelu1(float x) {
  constexpr float kScale = 1.59576912f, kCubic = 0.044715f;  // 2·sqrt(2/π)
  const float inner = kScale * __builtin_fmaf(kCubic * x * x, x, x);
  return x / (1.0f + exp1(-inner));
}

[[maybe_unused]] void gelu_mul(const float* gate, const float* up, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = gelu1(gate[i]) * up[i];
}

[[maybe_unused]] void gelu(const float* x, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = gelu1(x[i]);
}

// tanh: near 0 its series, where 1 − e^−2|x| would lose digits.
inline float tanh1(float x) {
  const float square = x * x;
  float series = __builtin_fmaf(square, -17.0f / 315.0f, 2.0f / 15.0f);
  series = __builtin_fmaf(series, square, -1.0f / 3.0f);
  series = __builtin_fmaf(series * square, x, x);
  const float magnitude = __builtin_fabsf(x), e = exp1(-2.0f * magnitude);
  const float far = __builtin_copysignf((1.0f - e) / (1.0f + e), x);
  return magnitude < 0.2f ? series : far;
}

[[maybe_unused]] void soft_cap(float* x, std::size_t n, float cap) {
  for (std::size_t i = 0; i < n; ++i) x[i] = cap * tanh1(x[i] / cap);
}

[[maybe_unused]] void silu_mul(const float* gate, const float* up, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + exp1(-gate[i])) * up[i];
}

[[maybe_unused]] void clamped_silu_mul(const float* gate, const float* up, std::size_t n,
                                       float* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i] > 7.0f ? 7.0f : gate[i];
    const float u = up[i] > 7.0f ? 7.0f : up[i] < -7.0f ? -7.0f : up[i];
    out[i] = g / (1.0f + exp1(-1.702f * g)) * (u + 1.0f);
  }
}

[[maybe_unused]] void sigmoid_mul(const float* gate, std::size_t n, float* x) {
  for (std::size_t i = 0; i < n; ++i) x[i] = x[i] / (1.0f + exp1(-gate[i]));
}

[[maybe_unused]] void relu_squared(const float* x, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const float v = x[i] < 0.0f ? 0.0f : x[i];
    out[i] = v * v;
  }
}

[[maybe_unused]] void mul(const float* x, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] *= x[i];
}

[[maybe_unused]] void add(const float* x, std::size_t n, float* sum) {
  for (std::size_t i = 0; i < n; ++i) sum[i] += x[i];
}

[[maybe_unused]] void add_scaled(const float* x, float scale, std::size_t n, float* sum) {
  for (std::size_t i = 0; i < n; ++i) sum[i] = __builtin_fmaf(x[i], scale, sum[i]);
}

[[maybe_unused]] void rope(float* x, const float* cos, const float* sin, std::size_t n_rot,
                           bool neox) {
  const std::size_t half = n_rot / 2;
  if (neox) {
    float* y = x + half;
    for (std::size_t i = 0; i < half; ++i) {
      const float a = x[i], b = y[i];
      x[i] = __builtin_fmaf(-b, sin[i], a * cos[i]);
      y[i] = __builtin_fmaf(b, cos[i], a * sin[i]);
    }
    return;
  }
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = __builtin_fmaf(-b, sin[i], a * cos[i]);
    x[2 * i + 1] = __builtin_fmaf(b, cos[i], a * sin[i]);
  }
}

[[maybe_unused]] void merge(float* m, float* l, float* o, float m2, float l2, const float* o2,
                            std::size_t head_dim) {
  if (m2 == -__builtin_inff()) return;  // an empty range adds nothing
  const float top = larger(*m, m2);
  const float e = exp1(*m - top), e2 = exp1(m2 - top);
  *m = top;
  *l = __builtin_fmaf(*l, e, l2 * e2);
  for (std::size_t i = 0; i < head_dim; ++i) o[i] = __builtin_fmaf(o[i], e, o2[i] * e2);
}

[[maybe_unused]] float exp_sum(float* x, std::size_t n, float max) {
  for (std::size_t i = 0; i < n; ++i) x[i] = exp1(x[i] - max);
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += x[i + j];
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] += x[i + j];
  return fold_sum(lanes);
}

[[maybe_unused]] float max_of(const float* x, std::size_t n) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = __builtin_nanf("");
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] = larger(lanes[j], x[i + j]);
  for (std::size_t j = 0; i + j < n; ++j) lanes[j] = larger(lanes[j], x[i + j]);
  return fold_max(lanes);
}

}  // namespace
}  // namespace lathe::infer
