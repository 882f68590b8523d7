// Encoders of the super-blocks in k_quants.cpp, and of IQ4_XS, which is one.
#include <algorithm>

#include "infer/quant/blocks.h"
#include "infer/quant/fit.h"
#include "infer/quant/four_bit.h"

namespace lathe::infer {
namespace {

constexpr ValueTable kIq4Levels(kIq4Values);
constexpr int kPolishRounds = 2;

using Codes = std::array<unsigned, kSuperBlock>;

// x ≈ (d·scale)·level, a signed integer scale for each sub-block of kCount elements.
template <std::size_t kCount>
struct ScaleBlock {
  static constexpr std::size_t kSubs = kSuperBlock / kCount;

  float d = 0;  // rounded to f16
  std::array<int, kSubs> scale = {};
  float error = std::numeric_limits<float>::infinity();

  // For a given d: the scale of each sub-block is the best of those near the wanted one.
  template <class Levels>
  void choose(const float* x, const float* w, const Levels& levels, std::span<const float> wanted,
              int lo, int hi) {
    const float inverse = inverse_or_zero(d);
    error = 0;
    for (std::size_t j = 0; j < kSubs; ++j) {
      const int middle = static_cast<int>(
          round_even(clamped(wanted[j] * inverse, static_cast<float>(lo), static_cast<float>(hi))));
      float best = std::numeric_limits<float>::infinity();
      std::array<float, 3> tries;
      for (int t = 0; t < 3; ++t)
        tries[static_cast<std::size_t>(t)] = d * static_cast<float>(middle - 1 + t);
      for_each_try(
          tries,
          [&](const auto& some) {
            return scale_errors<kCount>(x + j * kCount, w + j * kCount, some, levels);
          },
          [&](std::size_t t, float e) {
            const int s = middle - 1 + static_cast<int>(t);
            if (s < lo || s > hi || !(e < best)) return;
            best = e;
            scale[j] = s;
          });
      error += best;
    }
  }

  // The best d for the present scales and codes.
  template <class Levels>
  float refit(const float* x, const float* w, const Levels& levels) const {
    double product = 0, square = 0;
    for (std::size_t j = 0; j < kSubs; ++j) {
      const float s = static_cast<float>(scale[j]), inverse = inverse_or_zero(d * s);
      for (std::size_t i = j * kCount; i < (j + 1) * kCount; ++i) {
        const float value = s * levels.nearest(x[i] * inverse);
        product += double{w[i]} * value * x[i];
        square += double{w[i]} * value * value;
      }
    }
    return square > 0 ? static_cast<float>(product / square) : 0;
  }

  template <class Levels>
  Codes codes(const float* x, const Levels& levels) const {
    Codes all;
    for (std::size_t j = 0; j < kSubs; ++j) {
      const float inverse = inverse_or_zero(d * static_cast<float>(scale[j]));
      for (std::size_t i = j * kCount; i < (j + 1) * kCount; ++i)
        all[i] = levels.code(x[i] * inverse);
    }
    return all;
  }
};

// Scales are integers in [lo, hi]; the one of largest magnitude becomes lo.
template <std::size_t kCount, class Levels>
ScaleBlock<kCount> fit_scale_block(const float* x, const float* w, const Levels& levels, int lo,
                                   int hi) {
  using Block = ScaleBlock<kCount>;
  std::array<float, Block::kSubs> wanted;
  for (std::size_t j = 0; j < wanted.size(); ++j)
    wanted[j] = fit_scale<kCount>(x + j * kCount, w + j * kCount, levels);
  Block best;
  best.d = f16_rounded(signed_extreme<Block::kSubs>(wanted.data()) / static_cast<float>(lo));
  if (best.d == 0) return best;
  best.choose(x, w, levels, wanted, lo, hi);
  for (int round = 0; round < kPolishRounds; ++round) {
    Block next;
    next.d = f16_rounded(best.refit(x, w, levels));
    if (next.d == best.d) break;
    next.choose(x, w, levels, wanted, lo, hi);
    if (!(next.error < best.error)) break;
    best = next;
  }
  return best;
}

// x ≈ (d·scale)·code − dmin·min, unsigned integer scale and minimum for each sub-block.
template <std::size_t kCount>
struct AffineBlock {
  static constexpr std::size_t kSubs = kSuperBlock / kCount;

  float d = 0, dmin = 0;  // rounded to f16
  std::array<int, kSubs> scale = {}, min = {};
  float error = std::numeric_limits<float>::infinity();

  void choose(const float* x, const float* w, std::span<const AffineFit> wanted, float max,
              int limit) {
    const auto near = [limit](float value, float unit) {
      return static_cast<int>(
          round_even(clamped(value * inverse_or_zero(unit), 0, static_cast<float>(limit))));
    };
    error = 0;
    for (std::size_t j = 0; j < kSubs; ++j) {
      const int s0 = near(wanted[j].scale, d), m0 = near(wanted[j].min, dmin);
      float best = std::numeric_limits<float>::infinity();
      for (int s = std::max(0, s0 - 1); s <= std::min(limit, s0 + 1); ++s) {
        const float sub_scale = d * static_cast<float>(s);
        std::array<float, 3> mins;
        for (int t = 0; t < 3; ++t)
          mins[static_cast<std::size_t>(t)] = dmin * static_cast<float>(m0 - 1 + t);
        for_each_try(
            mins,
            [&](const auto& some) {
              return affine_errors<kCount>(x + j * kCount, w + j * kCount, sub_scale, some, max);
            },
            [&](std::size_t t, float e) {
              const int m = m0 - 1 + static_cast<int>(t);
              if (m < 0 || m > limit || !(e < best)) return;
              best = e;
              scale[j] = s;
              min[j] = m;
            });
      }
      error += best;
    }
  }

  Codes codes(const float* x, float max) const {
    Codes all;
    for (std::size_t j = 0; j < kSubs; ++j) {
      const float m = dmin * static_cast<float>(min[j]);
      const float inverse = inverse_or_zero(d * static_cast<float>(scale[j]));
      for (std::size_t i = j * kCount; i < (j + 1) * kCount; ++i)
        all[i] = static_cast<unsigned>(round_even(clamped((x[i] + m) * inverse, 0, max)));
    }
    return all;
  }

  // The best d and dmin for the present scales, minimums and codes: a system of two equations.
  void refit(const float* x, const float* w, float max) {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    const Codes now = codes(x, max);
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const double a = static_cast<double>(scale[i / kCount]) * now[i];
      const double b = -static_cast<double>(min[i / kCount]);
      aa += w[i] * a * a;
      ab += w[i] * a * b;
      bb += w[i] * b * b;
      ax += w[i] * a * x[i];
      bx += w[i] * b * x[i];
    }
    const double determinant = aa * bb - ab * ab;
    if (!(determinant > 1e-9 * aa * bb)) return;
    d = f16_rounded(static_cast<float>((ax * bb - bx * ab) / determinant));
    dmin = f16_rounded(static_cast<float>((bx * aa - ax * ab) / determinant));
  }
};

template <std::size_t kCount>
AffineBlock<kCount> fit_affine_block(const float* x, const float* w, float max, int limit) {
  using Block = AffineBlock<kCount>;
  std::array<AffineFit, Block::kSubs> wanted;
  Block best;
  for (std::size_t j = 0; j < wanted.size(); ++j) {
    wanted[j] = fit_affine<kCount>(x + j * kCount, w + j * kCount, max, true);
    best.d = std::max(best.d, wanted[j].scale);
    best.dmin = std::max(best.dmin, wanted[j].min);
  }
  best.d = f16_rounded(best.d / static_cast<float>(limit));
  best.dmin = f16_rounded(best.dmin / static_cast<float>(limit));
  best.choose(x, w, wanted, max, limit);
  for (int round = 0; round < kPolishRounds; ++round) {
    Block next = best;
    next.refit(x, w, max);
    next.choose(x, w, wanted, max, limit);
    if (!(next.error < best.error)) break;
    best = next;
  }
  return best;
}

void or_into(std::byte& at, unsigned bits) {
  at |= static_cast<std::byte>(bits);
}

// Where Q2_K and Q3_K keep two bits of element i.
void put_two_bits(std::byte* qs, std::size_t i, unsigned bits) {
  or_into(qs[32 * (i / 128) + i % 32], bits << 2 * (i % 128 / 32));
}

// Where Q4_K and Q5_K keep four bits of element i.
void put_four_bits(std::byte* qs, std::size_t i, unsigned bits) {
  or_into(qs[32 * (i / 64) + i % 32], bits << 4 * (i / 32 % 2));
}

void put_scale_mins(const AffineBlock<32>& block, std::byte* b) {
  store(b, f16_bits(block.d));
  store(b + 2, f16_bits(block.dmin));
  std::byte* s = b + 4;
  for (std::size_t j = 0; j < 4; ++j) {
    const auto scale = static_cast<unsigned>(block.scale[j]);
    const auto min = static_cast<unsigned>(block.min[j]);
    const auto scale4 = static_cast<unsigned>(block.scale[j + 4]);
    const auto min4 = static_cast<unsigned>(block.min[j + 4]);
    or_into(s[j], scale | scale4 >> 4 << 6);
    or_into(s[j + 4], min | min4 >> 4 << 6);
    or_into(s[j + 8], (scale4 & 15) | (min4 & 15) << 4);
  }
}

}  // namespace

void encode_q2_k(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] {
    std::fill_n(b, count / kSuperBlock * 84, std::byte{});
    for (std::size_t k = 0; k < count; k += kSuperBlock, b += 84) {
      const float* x = in + k;
      const auto block = fit_affine_block<16>(x, block_weights(importance, k), 3, 15);
      const Codes codes = block.codes(x, 3);
      for (std::size_t j = 0; j < 16; ++j)
        or_into(b[j], static_cast<unsigned>(block.scale[j] | block.min[j] << 4));
      for (std::size_t i = 0; i < kSuperBlock; ++i) put_two_bits(b + 16, i, codes[i]);
      store(b + 80, f16_bits(block.d));
      store(b + 82, f16_bits(block.dmin));
    }
  });
}

void encode_q3_k(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] {
    constexpr Uniform kLevels{-4, 3};
    std::fill_n(b, count / kSuperBlock * 110, std::byte{});
    for (std::size_t k = 0; k < count; k += kSuperBlock, b += 110) {
      const float* x = in + k;
      const auto block = fit_scale_block<16>(x, block_weights(importance, k), kLevels, -32, 31);
      const Codes codes = block.codes(x, kLevels);
      for (std::size_t i = 0; i < kSuperBlock; ++i) {
        const unsigned code = codes[i];
        or_into(b[i % 32], code >> 2 << (i / 32));
        put_two_bits(b + 32, i, code & 3);
      }
      for (std::size_t j = 0; j < 16; ++j) {
        const auto scale = static_cast<unsigned>(block.scale[j] + 32);
        or_into(b[96 + j % 8], (scale & 15) << 4 * (j / 8));
        or_into(b[104 + j % 4], scale >> 4 << 2 * (j / 4));
      }
      store(b + 108, f16_bits(block.d));
    }
  });
}

void encode_q4_k(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] {
    std::fill_n(b, count / kSuperBlock * 144, std::byte{});
    for (std::size_t k = 0; k < count; k += kSuperBlock, b += 144) {
      const float* x = in + k;
      const auto block = fit_affine_block<32>(x, block_weights(importance, k), 15, 63);
      const Codes codes = block.codes(x, 15);
      put_scale_mins(block, b);
      for (std::size_t i = 0; i < kSuperBlock; ++i) put_four_bits(b + 16, i, codes[i]);
    }
  });
}

void encode_q5_k(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] {
    std::fill_n(b, count / kSuperBlock * 176, std::byte{});
    for (std::size_t k = 0; k < count; k += kSuperBlock, b += 176) {
      const float* x = in + k;
      const auto block = fit_affine_block<32>(x, block_weights(importance, k), 31, 63);
      const Codes codes = block.codes(x, 31);
      put_scale_mins(block, b);
      for (std::size_t i = 0; i < kSuperBlock; ++i) {
        const unsigned code = codes[i];
        put_four_bits(b + 48, i, code & 15);
        or_into(b[16 + i % 32], code >> 4 << (i / 32));
      }
    }
  });
}

void encode_q6_k(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] {
    constexpr Uniform kLevels{-32, 31};
    std::fill_n(b, count / kSuperBlock * 210, std::byte{});
    for (std::size_t k = 0; k < count; k += kSuperBlock, b += 210) {
      const float* x = in + k;
      const auto block = fit_scale_block<16>(x, block_weights(importance, k), kLevels, -128, 127);
      const Codes codes = block.codes(x, kLevels);
      for (std::size_t i = 0; i < kSuperBlock; ++i) {
        const unsigned code = codes[i];
        const std::size_t n = i / 128, g = i % 128 / 32, l = i % 32;
        or_into(b[64 * n + 32 * (g % 2) + l], (code & 15) << 4 * (g / 2));
        or_into(b[128 + 32 * n + l], code >> 4 << 2 * g);
      }
      for (std::size_t j = 0; j < 16; ++j)
        store(b + 192 + j, static_cast<std::int8_t>(block.scale[j]));
      store(b + 208, f16_bits(block.d));
    }
  });
}

void encode_iq4_xs(const float* in, std::byte* b, std::size_t count,
                   std::span<const float> importance) {
  with_wide_vectors([&] {
    std::fill_n(b, count / kSuperBlock * 136, std::byte{});
    for (std::size_t k = 0; k < count; k += kSuperBlock, b += 136) {
      const float* x = in + k;
      const auto block = fit_scale_block<32>(x, block_weights(importance, k), kIq4Levels, -32, 31);
      const Codes codes = block.codes(x, kIq4Levels);
      unsigned high = 0;
      for (std::size_t j = 0; j < 8; ++j) {
        const auto scale = static_cast<unsigned>(block.scale[j] + 32);
        or_into(b[4 + j / 2], (scale & 15) << 4 * (j % 2));
        high |= scale >> 4 << 2 * j;
      }
      store(b, f16_bits(block.d));
      store(b + 2, static_cast<std::uint16_t>(high));
      for (std::size_t i = 0; i < kSuperBlock; ++i)
        or_into(b[8 + 16 * (i / 32) + i % 16], codes[i] << 4 * (i % 32 / 16));
    }
  });
}

}  // namespace lathe::infer
