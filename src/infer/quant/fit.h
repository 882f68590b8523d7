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
#include <type_traits>

#include "infer/quant/tensor_type.h"

// Vectors are only passed between functions that are inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace lathe::infer {

// To the nearest integer, ties to even, for |x| < 2^22; vectorises where nearbyint does not.
template <class Value>  // float, or a vector of them
inline Value round_even(const Value& x) {
  constexpr float kShift = 12582912.0f;
  return (x + kShift) - kShift;
}

// NaN gives lo.
template <class Value>
inline Value clamped(const Value& x, float lo, float hi) {
  const Value low = Value{} + lo, high = Value{} + hi;
  const Value raised = x > low ? x : low;
  return raised < high ? raised : high;
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

// The codes lo … hi, whose values are themselves: integers, so that rounding leaves none outside.
struct Uniform {
  float lo, hi;

  float unit() const { return 1; }
  template <class Value>
  Value nearest(const Value& x) const {
    return round_even(clamped(x, lo, hi));
  }
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
  template <class Vector>
  Vector nearest(const Vector& x) const {
    Vector values;
    for (std::size_t i = 0; i < sizeof x / sizeof(float); ++i) values[i] = nearest(float{x[i]});
    return values;
  }

  float lo = 0, hi = 0;

 private:
  std::array<float, 16> values_;
  std::array<std::uint8_t, 512> codes_ = {};
};

// Sums are kept in four lanes. Two tries of one fit go side by side in one vector of eight; what
// comes of a try is what it would be alone, to the bit.
inline constexpr std::size_t kLanes = 4;
typedef float Four __attribute__((vector_size(16)));
typedef float Eight __attribute__((vector_size(32)));

template <std::size_t kTries>  // 1 or 2
using Tries = std::array<float, kTries>;
template <std::size_t kTries>
using Wide = std::conditional_t<kTries == 1, Four, Eight>;

// Four elements, for each try.
template <std::size_t kTries>
inline Wide<kTries> elements(const float* x) {
  Four four;
  __builtin_memcpy(&four, x, sizeof four);
  if constexpr (kTries == 1)
    return four;
  else
    return __builtin_shufflevector(four, four, 0, 1, 2, 3, 0, 1, 2, 3);
}

inline Four spread(const Tries<1>& of) {
  return Four{of[0], of[0], of[0], of[0]};
}
inline Eight spread(const Tries<2>& of) {
  return Eight{of[0], of[0], of[0], of[0], of[1], of[1], of[1], of[1]};
}

inline Tries<1> totals(const Four& lanes) {
  return {(lanes[0] + lanes[1]) + (lanes[2] + lanes[3])};
}
inline Tries<2> totals(const Eight& lanes) {
  return {(lanes[0] + lanes[1]) + (lanes[2] + lanes[3]),
          (lanes[4] + lanes[5]) + (lanes[6] + lanes[7])};
}

template <std::size_t kTries>
inline Tries<kTries> inverses_or_zero(Tries<kTries> of) {
  for (float& each : of) each = inverse_or_zero(each);
  return of;
}

// Calls `take(i, result)` for every try i, in their order; `fit` computes one or two at a time.
template <std::size_t kCount, class Fit, class Take>
inline void for_each_try(const std::array<float, kCount>& tries, const Fit& fit, const Take& take) {
  std::size_t i = 0;
  for (; i + 1 < kCount; i += 2) {
    const auto results = fit(Tries<2>{tries[i], tries[i + 1]});
    take(i, results[0]);
    take(i + 1, results[1]);
  }
  if constexpr (kCount % 2 == 1) take(i, fit(Tries<1>{tries[i]})[0]);
}

// Σ w·(x − scale·nearest(x / scale))²
template <std::size_t kCount, std::size_t kTries, class Levels>
inline Tries<kTries> scale_errors(const float* x, const float* w, const Tries<kTries>& scales,
                                  const Levels& levels) {
  const auto scale = spread(scales), inverse = spread(inverses_or_zero(scales));
  Wide<kTries> error = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    const auto xs = elements<kTries>(x + i);
    const auto e = scale * levels.nearest(xs * inverse) - xs;
    error += elements<kTries>(w + i) * e * e;
  }
  return totals(error);
}

struct ScaleFit {
  float scale = 0;
  float gain = 0;  // Σ w·x² less the error
};

// The best scale for the codes that each inverse would give.
template <std::size_t kCount, std::size_t kTries, class Levels>
inline std::array<ScaleFit, kTries> refit_scales(const float* x, const float* w,
                                                 const Tries<kTries>& inverses,
                                                 const Levels& levels) {
  const auto inverse = spread(inverses);
  Wide<kTries> xl = {}, ll = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    const auto xs = elements<kTries>(x + i);
    const auto level = levels.nearest(xs * inverse);
    const auto wl = elements<kTries>(w + i) * level;
    xl += wl * xs;
    ll += wl * level;
  }
  const auto product = totals(xl), square = totals(ll);
  std::array<ScaleFit, kTries> fits;
  for (std::size_t t = 0; t < kTries; ++t)
    if (square[t] > 0) fits[t] = {product[t] / square[t], product[t] * product[t] / square[t]};
  return fits;
}

template <std::size_t kCount>
inline float signed_extreme(const float* x) {
  return *std::max_element(x, x + kCount,
                           [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

// x ≈ scale·level, of either sign. Tries to put the element of largest magnitude at either end of
// the levels or a little inside or outside.
template <std::size_t kCount, class Levels>
inline float fit_scale(const float* x, const float* w, const Levels& levels) {
  constexpr int kSteps = 6;
  constexpr float kStep = 0.15f;
  const float extreme = signed_extreme<kCount>(x);
  const float inverse = inverse_or_zero(extreme);
  if (inverse == 0) return 0;
  std::array<float, 2 * (2 * kSteps + 1)> tries;
  std::size_t n = 0;
  for (const float end : {levels.lo, levels.hi})
    for (int t = -kSteps; t <= kSteps; ++t)
      tries[n++] = (end + kStep * static_cast<float>(t) * levels.unit()) * inverse;
  ScaleFit best;
  for_each_try(
      tries, [&](const auto& some) { return refit_scales<kCount>(x, w, some, levels); },
      [&](std::size_t, const ScaleFit& fit) {
        if (fit.gain > best.gain) best = fit;
      });
  for (int round = 0; round < 2; ++round) {
    const Tries<1> again{inverse_or_zero(best.scale)};
    const ScaleFit fit = refit_scales<kCount>(x, w, again, levels)[0];
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

struct AffineFit {
  float scale = 0, min = 0;
  float gain = -std::numeric_limits<float>::infinity();
};

template <class Vector>
inline Vector affine_codes(const Vector& x, const Vector& min, const Vector& inverse, float max) {
  return round_even(clamped((x + min) * inverse, 0, max));
}

// x ≈ scale·code − min with codes 0 … max.
template <std::size_t kCount, std::size_t kTries>
inline Tries<kTries> affine_errors(const float* x, const float* w, float scale_of_all,
                                   const Tries<kTries>& mins, float max) {
  Tries<kTries> scales;
  scales.fill(scale_of_all);
  const auto scale = spread(scales), min = spread(mins), inverse = spread(inverses_or_zero(scales));
  Wide<kTries> error = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    const auto xs = elements<kTries>(x + i);
    const auto e = scale * affine_codes(xs, min, inverse, max) - min - xs;
    error += elements<kTries>(w + i) * e * e;
  }
  return totals(error);
}

inline AffineFit best_affine(double n, double q, double qq, double v, double qv, bool positive) {
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

// The best scale and minimum for the codes of (x + min)·inverse. `positive`: min may not be
// negative.
template <std::size_t kCount, std::size_t kTries>
inline std::array<AffineFit, kTries> refit_affines(const float* x, const float* w,
                                                   const Tries<kTries>& inverses, float min,
                                                   float max, bool positive) {
  using Vector = Wide<kTries>;
  const Vector inverse = spread(inverses), mins = Vector{} + min;
  Vector sw = {}, sq = {}, sqq = {}, sx = {}, sqx = {};
  for (std::size_t i = 0; i < kCount; i += kLanes) {
    const Vector xs = elements<kTries>(x + i), ws = elements<kTries>(w + i);
    const Vector q = affine_codes(xs, mins, inverse, max);
    const Vector wq = ws * q;
    sw += ws;
    sq += wq;
    sqq += wq * q;
    sx += ws * xs;
    sqx += wq * xs;
  }
  const auto n = totals(sw), q = totals(sq), qq = totals(sqq), v = totals(sx), qv = totals(sqx);
  std::array<AffineFit, kTries> fits;
  for (std::size_t t = 0; t < kTries; ++t)
    fits[t] = best_affine(n[t], q[t], qq[t], v[t], qv[t], positive);
  return fits;
}

template <std::size_t kCount>
inline AffineFit fit_affine(const float* x, const float* w, float max, bool positive) {
  constexpr std::size_t kRanges = 11;
  const auto [least, most] = std::minmax_element(x, x + kCount);
  const float lo = positive ? std::min(*least, 0.0f) : *least;
  const float inverse = inverse_or_zero(*most - lo);
  AffineFit best{0, -lo};
  if (inverse == 0) return best;
  std::array<float, kRanges> tries;
  for (std::size_t t = 0; t < kRanges; ++t)
    tries[t] = (max - 0.8f + 0.16f * static_cast<float>(t)) * inverse;
  for_each_try(
      tries,
      [&](const auto& some) { return refit_affines<kCount>(x, w, some, -lo, max, positive); },
      [&](std::size_t, const AffineFit& fit) {
        if (fit.gain > best.gain) best = fit;
      });
  for (int round = 0; round < 3; ++round) {
    const Tries<1> again{inverse_or_zero(best.scale)};
    const AffineFit fit = refit_affines<kCount>(x, w, again, best.min, max, positive)[0];
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best;
}

// Runs an encoder, with all that it calls, in 256-bit vectors where the processor has them: the
// same operations, so the same bits.
#ifdef __x86_64__
template <class Encoder>
[[gnu::target("avx2"), gnu::flatten]] void with_avx2(const Encoder& encoder) {
  encoder();
}
#endif
template <class Encoder>
void with_wide_vectors(const Encoder& encoder) {
#ifdef __x86_64__
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return with_avx2(encoder);
#endif
  encoder();
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

}  // namespace lathe::infer
