// The kernels of recurrent layers, beside those of kernels.h and by its rules: one order for every
// float operation, so that all tables give the same bits.
//
// A gated delta net (Yang et al. 2024, "Gated Delta Networks") carries a matrix S (key × value) a
// head. With a token's q, k (of unit length), v, decay and beta:
//   δ = beta·(v − (decay·S)ᵀk),  S ← decay·S + k·δᵀ,  out = Sᵀq
// token after token: nothing depends on how a text was cut. Sums over keys are one fma chain in the
// order of the keys; columns know nothing of each other.
#pragma once

#include <cstddef>

namespace lathe::infer {

// Some tokens of one sequence, one head.
struct DeltaArgs {
  float* state;      // (size, size): key rows, value columns
  std::size_t size;  // of a key, and of a value
  std::size_t tokens;
  const float *q, *k, *v;  // of the first token; the next one's stand `stride` floats on
  std::size_t stride;
  const float *decay, *beta;  // one a token, `scalar_stride` apart
  std::size_t scalar_stride;
  float* out;  // (tokens, size), `out_stride` apart
  std::size_t out_stride;
  bool each_key = false;  // a token's decay is (size): one a row of the state
};

// A state-space layer (Dao and Gu 2024, "Transformers are SSMs", Mamba-2) carries a matrix S (state
// × head dimension) a head. With a token's x, B, C, dt and decay:
//   S ← decay·S + B·(dt·x)ᵀ,  out = SᵀC + skip·x
// in the same manner: sums over states are one fma chain, columns know nothing of each other.
struct ScanArgs {
  float* state;              // (states, size)
  std::size_t states, size;  // of B and C; of x
  std::size_t tokens;
  const float *x, *b, *c;  // of the first token; the next one's stand `stride` floats on
  std::size_t stride;
  const float *decay, *dt;  // one a token, `scalar_stride` apart
  std::size_t scalar_stride;
  float skip;
  float* out;  // (tokens, size), `out_stride` apart
  std::size_t out_stride;
};

struct RecurrentKernels {
  // out[c] = bias[c] + Σ_j w[c·taps + j]·rows[j][c], the oldest row first, one fma each; without a
  // bias (nullptr) the first is a product.
  void (*convolve)(const float* const* rows, const float* w, const float* bias, std::size_t taps,
                   std::size_t n, float* out);
  void (*silu)(float* x, std::size_t n);                       // in place
  void (*sigmoid)(const float* x, std::size_t n, float* out);  // in place allowed
  // x·scale / max(|x|, eps), in place; the square sum over 16 virtual lanes.
  void (*unit_norm)(float* x, std::size_t n, float eps, float scale);
  // out = exp(rate·softplus(a + bias)). In place allowed.
  void (*decay)(const float* a, const float* bias, const float* rate, std::size_t n, float* out);
  // out = softplus(a + bias). In place allowed.
  void (*softplus)(const float* a, const float* bias, std::size_t n, float* out);
  void (*delta)(const DeltaArgs& args);
  void (*scan)(const ScanArgs& args);
};

}  // namespace lathe::infer
