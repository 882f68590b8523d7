// Encoders of the ternary and binary types. Weights that are ternary by nature come back as they
// were; of others the scale is the best for their errors, not the largest of them.
#include <algorithm>

#include "infer/quant/blocks.h"
#include "infer/quant/fit.h"

namespace lathe::infer {
namespace {

// As fit_scale, from further away: with so few levels most blocks do best with their largest
// elements beyond the last one.
template <std::size_t kCount>
float fit_few_levels(const float* x, const float* w, const Uniform& levels) {
  constexpr std::size_t kTries = 16;
  const float inverse = inverse_or_zero(signed_extreme<kCount>(x));
  if (inverse == 0) return 0;
  std::array<float, 2 * kTries> tries;
  for (std::size_t t = 0; t < kTries; ++t) {
    tries[2 * t] = (0.75f + 0.25f * static_cast<float>(t)) * inverse;
    tries[2 * t + 1] = -tries[2 * t];
  }
  ScaleFit best;
  for_each_try(
      tries, [&](const auto& some) { return refit_scales<kCount>(x, w, some, levels); },
      [&](std::size_t, const ScaleFit& fit) {
        if (fit.gain > best.gain) best = fit;
      });
  for (int round = 0; round < 4; ++round) {
    const ScaleFit fit =
        refit_scales<kCount>(x, w, Tries<1>{inverse_or_zero(best.scale)}, levels)[0];
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

// Codes 0 … 2 or 0 … 3, one above the weight, by put(block, codes).
template <std::size_t kBlock, std::size_t kBytes, std::size_t kScale, class Put>
void encode_blocks(const float* in, std::byte* b, std::size_t count,
                   std::span<const float> importance, float highest, Put put) {
  const Uniform levels{-1, highest};
  with_wide_vectors([&] {
    for (std::size_t k = 0; k < count; k += kBlock, b += kBytes) {
      const std::uint16_t d =
          f16_bits(fit_few_levels<kBlock>(in + k, block_weights(importance, k), levels));
      const float inverse = inverse_or_zero(f16_to_f32(d));
      std::array<unsigned, kBlock> codes;
      for (std::size_t i = 0; i < kBlock; ++i) codes[i] = levels.code(in[k + i] * inverse);
      std::fill(b, b + kBytes, std::byte{0});
      put(b, codes);
      store(b + kScale, d);
    }
  });
}

// `digits` numbers 0 … 2, `apart` elements apart, the first one highest, as a fraction of 256.
std::byte base3_fraction(const unsigned* codes, std::size_t digits, std::size_t apart) {
  unsigned number = 0;
  for (std::size_t n = 0; n < 5; ++n) number = 3 * number + (n < digits ? codes[n * apart] : 0);
  return static_cast<std::byte>((number * 256 + 242) / 243);
}

}  // namespace

void encode_tq1_0(const float* in, std::byte* b, std::size_t count,
                  std::span<const float> importance) {
  encode_blocks<256, 54, 52>(in, b, count, importance, 1, [](std::byte* out, const auto& codes) {
    for (std::size_t i = 0; i < 32; ++i) out[i] = base3_fraction(&codes[i], 5, 32);
    for (std::size_t i = 0; i < 16; ++i) out[32 + i] = base3_fraction(&codes[160 + i], 5, 16);
    for (std::size_t i = 0; i < 4; ++i) out[48 + i] = base3_fraction(&codes[240 + i], 4, 4);
  });
}

void encode_tq2_0(const float* in, std::byte* b, std::size_t count,
                  std::span<const float> importance) {
  encode_blocks<256, 66, 64>(in, b, count, importance, 2, [](std::byte* out, const auto& codes) {
    for (std::size_t i = 0; i < 256; ++i)
      out[32 * (i / 128) + i % 32] |= static_cast<std::byte>(codes[i] << 2 * (i % 128 / 32));
  });
}

void encode_q2_0(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  encode_blocks<64, 18, 0>(in, b, count, importance, 2, [](std::byte* out, const auto& codes) {
    for (std::size_t i = 0; i < 64; ++i)
      out[2 + i / 4] |= static_cast<std::byte>(codes[i] << 2 * (i % 4));
  });
}

// The best scale of signs is the mean magnitude.
void encode_q1_0(const float* in, std::byte* b, std::size_t count,
                 std::span<const float> importance) {
  for (std::size_t k = 0; k < count; k += 128, b += 18) {
    const float* w = importance.empty() ? nullptr : importance.data() + k;
    double magnitude = 0, weight = 0;
    std::fill(b, b + 18, std::byte{0});
    for (std::size_t i = 0; i < 128; ++i) {
      const float x = in[k + i], of = w ? w[i] : 1;
      magnitude += double{of} * std::fabs(x);
      weight += of;
      if (x >= 0) b[2 + i / 8] |= static_cast<std::byte>(1u << i % 8);
    }
    store(b, f16_bits(weight > 0 ? static_cast<float>(magnitude / weight) : 0));
  }
}

}  // namespace lathe::infer
