// How the encoders choose scales: weighted least squares. For given codes the best scale (and
// minimum) has a closed form, so a few ways to assign codes are tried and the one with the smallest
// error Σ w·(x − decoded)² stays. Scales that are themselves stored in a few bits are chosen by the
// error after their rounding, and codes always belong to the scale as it will be read back.
// Without importance all weights are 1: that minimises the error of the weights themselves.
// Pure. Inputs that are not finite give some codes, never undefined behaviour.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "infer/quant/tensor_type.h"

namespace lathe {

// To the nearest integer, ties to even, for |x| < 2^22; vectorises where nearbyint does not.
inline float round_even(float x) {
  constexpr float kShift = 12582912.0f;
  return (x + kShift) - kShift;
}

// NaN gives lo.
inline float clamped(float x, float lo, float hi) {
  x = x > lo ? x : lo;
  return x < hi ? x : hi;
}

// Scales that f16 can't hold become the largest it can: an infinity would decode to NaN.
inline std::uint16_t f16_bits(float x) {
  return f32_to_f16(clamped(x, -65504, 65504));
}
inline float f16_rounded(float x) {
  return f16_to_f32(f16_bits(x));
}

inline float inverse_or_zero(float x) {
  const float inverse = 1 / x;
  return std::isfinite(inverse) ? inverse : 0;
}

// The codes lo … hi, whose values are themselves.
struct Uniform {
  float lo, hi;

  float unit() const { return 1; }
  float nearest(float x) const { return clamped(round_even(clamped(x, lo, hi)), lo, hi); }
  unsigned code(float x) const { return static_cast<unsigned>(nearest(x) - lo); }
};

// 16 integer values. Borders between neighbours are multiples of ½, so bins of ½ decide exactly.
class ValueTable {
 public:
  constexpr explicit ValueTable(const std::array<float, 16>& values) : values_(values) {
    lo = *std::min_element(values.begin(), values.end());
    hi = *std::max_element(values.begin(), values.end());
    for (std::size_t bin = 0; bin < codes_.size(); ++bin) {
      const float middle = lo + static_cast<float>(bin) / 2 + 0.25f;
      for (std::size_t code = 1; code < values.size(); ++code) {
        const float now = values[codes_[bin]] - middle, then = values[code] - middle;
        if (then * then < now * now) codes_[bin] = static_cast<std::uint8_t>(code);
      }
    }
  }

  float unit() const { return (hi - lo) / 15; }
  unsigned code(float x) const {
    return codes_[static_cast<std::size_t>((clamped(x, lo, hi) - lo) * 2)];
  }
  float nearest(float x) const { return values_[code(x)]; }

  float lo = 0, hi = 0;

 private:
  std::array<float, 16> values_;
  std::array<std::uint8_t, 512> codes_ = {};
};

// Sums are kept in four lanes, which compilers turn into vectors.
inline constexpr std::size_t kLanes = 4;
using Lanes = std::array<float, kLanes>;

inline float total(const Lanes& lanes) {
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

// Σ w·(x − scale·nearest(x / scale))²
template <std::size_t kCount, class Levels>
float scale_error(const float* x, const float* w, float scale, const Levels& levels) {
  const float inverse = inverse_or_zero(scale);
  Lanes error = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float e = scale * levels.nearest(x[i + j] * inverse) - x[i + j];
      error[j] += w[i + j] * e * e;
    }
  }
  return total(error);
}

struct ScaleFit {
  float scale = 0;
  float gain = 0;  // Σ w·x² less the error
};

// The best scale for the codes that 1 / inverse would give.
template <std::size_t kCount, class Levels>
ScaleFit refit_scale(const float* x, const float* w, float inverse, const Levels& levels) {
  Lanes xl = {}, ll = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float level = levels.nearest(x[i + j] * inverse);
      const float wl = w[i + j] * level;
      xl[j] += wl * x[i + j];
      ll[j] += wl * level;
    }
  }
  const float product = total(xl), square = total(ll);
  if (!(square > 0)) return {};
  return {product / square, product * product / square};
}

template <std::size_t kCount>
float signed_extreme(const float* x) {
  return *std::max_element(x, x + kCount,
                           [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

// x ≈ scale·level, of either sign. Tries to put the element of largest magnitude at either end of
// the levels or a little inside or outside.
template <std::size_t kCount, class Levels>
float fit_scale(const float* x, const float* w, const Levels& levels) {
  constexpr int kSteps = 6;
  constexpr float kStep = 0.15f;
  const float extreme = signed_extreme<kCount>(x);
  const float inverse = inverse_or_zero(extreme);
  if (inverse == 0) return 0;
  ScaleFit best;
  for (const float end : {levels.lo, levels.hi}) {
    for (int t = -kSteps; t <= kSteps; ++t) {
      const float target = end + kStep * static_cast<float>(t) * levels.unit();
      const ScaleFit fit = refit_scale<kCount>(x, w, target * inverse, levels);
      if (fit.gain > best.gain) best = fit;
    }
  }
  for (int round = 0; round < 2; ++round) {
    const ScaleFit fit = refit_scale<kCount>(x, w, inverse_or_zero(best.scale), levels);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

struct AffineFit {
  float scale = 0, min = 0;
  float gain = -std::numeric_limits<float>::infinity();
};

// x ≈ scale·code − min with codes 0 … max.
template <std::size_t kCount>
float affine_error(const float* x, const float* w, float scale, float min, float max) {
  const float inverse = inverse_or_zero(scale);
  Lanes error = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float code = round_even(clamped((x[i + j] + min) * inverse, 0, max));
      const float e = scale * code - min - x[i + j];
      error[j] += w[i + j] * e * e;
    }
  }
  return total(error);
}

// The best scale and minimum for the codes of (x + min)·inverse. `positive`: min may not be
// negative.
template <std::size_t kCount>
AffineFit refit_affine(const float* x, const float* w, float inverse, float min, float max,
                       bool positive) {
  Lanes sw = {}, sq = {}, sqq = {}, sx = {}, sqx = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float q = round_even(clamped((x[i + j] + min) * inverse, 0, max));
      const float wq = w[i + j] * q;
      sw[j] += w[i + j];
      sq[j] += wq;
      sqq[j] += wq * q;
      sx[j] += w[i + j] * x[i + j];
      sqx[j] += wq * x[i + j];
    }
  }
  const double n = total(sw), q = total(sq), qq = total(sqq), v = total(sx), qv = total(sqx);
  if (!(qq > 0)) return {};
  double scale = qv / qq, offset = 0;  // the best without a minimum
  const double determinant = n * qq - q * q;
  const double free_offset = qq * v - q * qv;
  if (determinant > 0 && !(positive && free_offset > 0)) {
    scale = (n * qv - q * v) / determinant;
    offset = free_offset / determinant;
  }
  return {static_cast<float>(scale), static_cast<float>(-offset),
          static_cast<float>(scale * qv + offset * v)};
}

template <std::size_t kCount>
AffineFit fit_affine(const float* x, const float* w, float max, bool positive) {
  constexpr int kSteps = 10;
  const auto [least, most] = std::minmax_element(x, x + kCount);
  const float lo = positive ? std::min(*least, 0.0f) : *least;
  const float inverse = inverse_or_zero(*most - lo);
  AffineFit best{0, -lo};
  if (inverse == 0) return best;
  for (int t = 0; t <= kSteps; ++t) {
    const float range = max - 0.8f + 0.16f * static_cast<float>(t);
    const AffineFit fit = refit_affine<kCount>(x, w, range * inverse, -lo, max, positive);
    if (fit.gain > best.gain) best = fit;
  }
  for (int round = 0; round < 3; ++round) {
    const AffineFit fit =
        refit_affine<kCount>(x, w, inverse_or_zero(best.scale), best.min, max, positive);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best;
}

// `importance` of the block that starts at element k of the row; ones where there is none.
inline const float* block_weights(std::span<const float> importance, std::size_t k) {
  static constexpr std::array<float, 256> kOnes = [] {
    std::array<float, 256> ones{};
    ones.fill(1);
    return ones;
  }();
  return importance.empty() ? kOnes.data() : importance.data() + k;
}

}  // namespace lathe
