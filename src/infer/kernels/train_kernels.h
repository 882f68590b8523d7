// The inner loops of training, part of each instruction set's table (kernels.h): products of float
// matrices, and the backward passes of what the engine computes forward. As there, the order of
// every float operation is fixed, so that all tables give the same bits:
//
//  * A product has ONE accumulator for each output, acc = fma(a, b, acc) along k. Cutting k in
//    pieces that add to C changes nothing.
//  * Sums over a row use 16 virtual lanes and the fixed tree of kernels.h.
//
// No shapes checked, no threads, no allocation, no alignment asked for; any thread may call
// anything.
#pragma once

#include <cstddef>

namespace lathe::infer {

inline constexpr std::size_t kTileRows = 12;
inline constexpr std::size_t kTileColumns = 32;

// C[r, c] (+)= Σ_i A[r, i]·B[i, c] for at most kTileRows rows and kTileColumns columns.
struct TileArgs {
  std::size_t rows, columns, k;
  const float* a;  // A[r, i] = a[r·a_row + i·a_k]
  std::size_t a_row, a_k;
  const float* b;  // B[i, c] = b[i·b_k + c]
  std::size_t b_k;
  float* c;  // C[r, c] = c[r·c_row + c]
  std::size_t c_row;
  bool add;  // to what C holds
};

struct AdamArgs {
  std::size_t count;
  float* value;
  const float* gradient;
  float *first, *second;              // the moments
  float scale;                        // of the gradient: clipping
  float beta1, beta2;                 //
  float rate, second_scale, epsilon;  // rate: with the first moment's correction in it
  float decay;                        // what a value keeps: 1 − rate · weight decay
};

struct TrainKernels {
  void (*tile)(const TileArgs& args);
  float (*dot)(const float* a, const float* b, std::size_t n);
  void (*scale)(float* x, float factor, std::size_t n);
  // d_gate, d_up of hidden = silu(gate)·up. d_gate may be gate, d_up may be up.
  void (*silu_mul_backward)(const float* gate, const float* up, const float* d_hidden,
                            std::size_t n, float* d_gate, float* d_up);
  // dx += the gradient of out = x·f·weight, f = 1/sqrt(mean(x²) + eps), which is returned.
  float (*rms_norm_backward)(const float* x, const float* weight, const float* d_out, std::size_t n,
                             float eps, float* dx);
  // dw += d_out·x·f, of some of a row's elements.
  void (*rms_weight_backward)(const float* x, float f, const float* d_out, std::size_t n,
                              float* dw);
  // ds = p·(dp − dot), in dp.
  void (*softmax_backward)(const float* p, float dot, std::size_t n, float* dp);
  // m = β1·m + (1−β1)·g, v = β2·v + (1−β2)·g², value = value·decay − rate·m / (sqrt(v·c) + ε).
  void (*adam)(const AdamArgs& args);
};

// `rows` ≤ 32 rows of k numbers → one panel: panel[i·32 + r] = source[r·stride + i], the rows that
// are missing as zeros.
void transpose_panel(const float* source, std::size_t stride, std::size_t rows, std::size_t k,
                     float* panel);

}  // namespace lathe::infer
