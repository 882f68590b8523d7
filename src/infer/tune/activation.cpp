// Activations forward and backward.
#include "infer/tune/activation.h"

#include <algorithm>

namespace lathe::infer {
namespace {

constexpr std::size_t kActivationPiece = 256;
constexpr float kGeluScale = 1.59576912f, kGeluCubic = 0.044715f;  // as KernelTable::gelu has it
constexpr float kClamp = 7, kClampedSlope = 1.702f;  // as KernelTable::clamped_silu_mul

// work(from, count, room for so many) for all of a row.
void in_pieces(std::size_t n, auto&& work) {
  float room[kActivationPiece];
  for (std::size_t from = 0; from < n; from += kActivationPiece)
    work(from, std::min(kActivationPiece, n - from), room);
}

// gelu(x)'s slope and value for some x.
void gelu_slopes(const KernelTable& kernels, const float* x, std::size_t n, float* slope,
                 float* value) {
  for (std::size_t i = 0; i < n; ++i)
    slope[i] = kGeluScale * (x[i] + kGeluCubic * x[i] * x[i] * x[i]);
  kernels.recurrent.sigmoid(slope, n, slope);
  for (std::size_t i = 0; i < n; ++i) {
    const float s = slope[i];
    value[i] = x[i] * s;
    slope[i] = s + x[i] * s * (1 - s) * kGeluScale * (1 + 3 * kGeluCubic * x[i] * x[i]);
  }
}

void gelu_mul_backward(const KernelTable& kernels, const float* gate, const float* up,
                       const float* d, std::size_t n, float* d_gate, float* d_up) {
  in_pieces(n, [&](std::size_t from, std::size_t count, float* slope) {
    float value[kActivationPiece];
    gelu_slopes(kernels, gate + from, count, slope, value);
    for (std::size_t i = 0; i < count; ++i) {
      const float down = d[from + i], u = up[from + i];
      d_gate[from + i] = down * u * slope[i];
      d_up[from + i] = down * value[i];
    }
  });
}

void gelu_backward(const KernelTable& kernels, const float* up, const float* d, std::size_t n,
                   float* d_up) {
  in_pieces(n, [&](std::size_t from, std::size_t count, float* slope) {
    float value[kActivationPiece];
    gelu_slopes(kernels, up + from, count, slope, value);
    for (std::size_t i = 0; i < count; ++i) d_up[from + i] = d[from + i] * slope[i];
  });
}

// Where something was clamped it has no slope.
void clamped_silu_backward(const KernelTable& kernels, const float* gate, const float* up,
                           const float* d, std::size_t n, float* d_gate, float* d_up) {
  in_pieces(n, [&](std::size_t from, std::size_t count, float* s) {
    for (std::size_t i = 0; i < count; ++i) s[i] = kClampedSlope * std::min(gate[from + i], kClamp);
    kernels.recurrent.sigmoid(s, count, s);
    for (std::size_t i = 0; i < count; ++i) {
      const float g0 = gate[from + i], u0 = up[from + i], down = d[from + i];
      const float g = std::min(g0, kClamp), u = std::clamp(u0, -kClamp, kClamp);
      const float slope = s[i] * (1 + kClampedSlope * g * (1 - s[i]));
      d_gate[from + i] = g0 > kClamp ? 0 : down * (u + 1) * slope;
      d_up[from + i] = u0 > kClamp || u0 < -kClamp ? 0 : down * (g * s[i]);
    }
  });
}

}  // namespace

void activate(const KernelTable& kernels, Activation kind, const float* gate, const float* up,
              std::size_t n, float* hidden) {
  switch (kind) {
    case Activation::kSilu:
      return kernels.silu_mul(gate, up, n, hidden);
    case Activation::kGelu:
      return kernels.gelu_mul(gate, up, n, hidden);
    case Activation::kGeluAlone:
      return kernels.gelu(up, n, hidden);
    case Activation::kReluSquared:
      return kernels.relu_squared(up, n, hidden);
    case Activation::kClampedSilu:
      return kernels.clamped_silu_mul(gate, up, n, hidden);
  }
}

void activate_backward(const KernelTable& kernels, Activation kind, const float* gate,
                       const float* up, const float* d_hidden, std::size_t n, float* d_gate,
                       float* d_up) {
  switch (kind) {
    case Activation::kSilu:
      return kernels.train.silu_mul_backward(gate, up, d_hidden, n, d_gate, d_up);
    case Activation::kGelu:
      return gelu_mul_backward(kernels, gate, up, d_hidden, n, d_gate, d_up);
    case Activation::kGeluAlone:
      return gelu_backward(kernels, up, d_hidden, n, d_up);
    case Activation::kReluSquared:
      for (std::size_t i = 0; i < n; ++i) d_up[i] = d_hidden[i] * 2 * std::max(up[i], 0.0f);
      return;
    case Activation::kClampedSilu:
      return clamped_silu_backward(kernels, gate, up, d_hidden, n, d_gate, d_up);
  }
}

}  // namespace lathe::infer
