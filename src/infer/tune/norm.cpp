// Norms forward and backward.
#include "infer/tune/norm.h"

#include <algorithm>
#include <cmath>

namespace lathe::infer {
namespace {

struct Moments {
  float mean, factor;  // 1 / sqrt(variance + eps)
};

Moments layer_moments(const float* x, std::size_t n, float eps) {
  const auto size = static_cast<double>(n);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / size;
  for (std::size_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares += d * d;
  }
  return {static_cast<float>(mean),
          static_cast<float>(1 / std::sqrt(squares / size + static_cast<double>(eps)))};
}

Moments moments_of(const TunePass& pass, const NormRows& norm, const float* x) {
  if (norm.kind == NormKind::kLayer) return layer_moments(x, norm.size, pass.epsilon());
  const float mean = pass.kernels.train.dot(x, x, norm.size) / static_cast<float>(norm.size);
  return {0, 1 / std::sqrt(mean + pass.epsilon())};
}

// The weights' own gradient, piece by piece of the tokens in their order.
void weights_backward(TunePass& pass, const NormRows& norm, Rows x, Rows d_out) {
  const std::size_t n = norm.size, tokens = pass.tokens();
  pass.each_token([&](std::size_t t) {
    for (std::size_t p = 0; p < norm.pieces; ++p) {
      const Moments moments = moments_of(pass, norm, x.row(t) + p * n);
      pass.factors.row(t)[2 * p] = moments.mean;
      pass.factors.row(t)[2 * p + 1] = moments.factor;
    }
  });
  constexpr std::size_t kColumns = 64;
  pass.team.run((n + kColumns - 1) / kColumns, [&](std::size_t part, int) {
    const std::size_t from = part * kColumns, end = std::min(n, from + kColumns);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t p = 0; p < norm.pieces; ++p) {
        const float *row = x.row(t) + p * n, *d = d_out.row(t) + p * n;
        const float mean = pass.factors.row(t)[2 * p], factor = pass.factors.row(t)[2 * p + 1];
        float* gradient = norm.of_piece(p).gradient;
        for (std::size_t i = from; i < end; ++i) gradient[i] += d[i] * ((row[i] - mean) * factor);
      }
  });
}

}  // namespace

void norm_rows(TunePass& pass, const NormRows& norm, Rows x, Rows out) {
  const std::size_t n = norm.size;
  const auto apply = norm.kind == NormKind::kRms ? pass.kernels.rms_norm : pass.kernels.layer_norm;
  pass.each_token([&](std::size_t t) {
    for (std::size_t p = 0; p < norm.pieces; ++p)
      apply(x.row(t) + p * n, norm.of_piece(p).value, n, pass.epsilon(), out.row(t) + p * n);
  });
}

void norm_rows_backward(TunePass& pass, const NormRows& norm, Rows x, Rows d_out, Rows dx) {
  const std::size_t n = norm.size;
  // First: d_out may be written over below.
  if (norm.weight.gradient != nullptr) weights_backward(pass, norm, x, d_out);
  const bool in_place = d_out.data == dx.data;
  pass.each_token([&](std::size_t t) {
    std::vector<float> own(in_place ? n : 0);
    for (std::size_t p = 0; p < norm.pieces; ++p) {
      const float *row = x.row(t) + p * n, *d = d_out.row(t) + p * n;
      float* to = in_place ? own.data() : dx.row(t) + p * n;
      std::ranges::fill(own, 0.0f);
      if (norm.kind == NormKind::kRms)
        pass.kernels.train.rms_norm_backward(row, norm.of_piece(p).value, d, n, pass.epsilon(), to);
      else
        layer_norm_backward(row, norm.of_piece(p).value, d, n, pass.epsilon(), to);
      if (in_place) std::ranges::copy(own, dx.row(t) + p * n);
    }
  });
}

void layer_norm_backward(const float* x, const float* weight, const float* d_out, std::size_t n,
                         float eps, float* dx) {
  const Moments moments = layer_moments(x, n, eps);
  double sum = 0, along = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const float g = d_out[i] * weight[i];
    sum += static_cast<double>(g);
    along += static_cast<double>(g * ((x[i] - moments.mean) * moments.factor));
  }
  const float mean = static_cast<float>(sum / static_cast<double>(n));
  const float slope = static_cast<float>(along / static_cast<double>(n));
  for (std::size_t i = 0; i < n; ++i) {
    const float normed = (x[i] - moments.mean) * moments.factor;
    dx[i] += moments.factor * (d_out[i] * weight[i] - mean - normed * slope);
  }
}

}  // namespace lathe::infer
