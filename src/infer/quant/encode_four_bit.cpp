// Encoders of the small blocks in four_bit.cpp.
#include <algorithm>

#include "infer/quant/blocks.h"
#include "infer/quant/fit.h"
#include "infer/quant/four_bit.h"

namespace lathe::infer {
namespace {

constexpr ValueTable kIq4Levels(kIq4Values);
constexpr ValueTable kFp4Levels(kFp4Values);

template <std::size_t kCount>
void put_nibbles(const float* x, float scale, const ValueTable& levels, std::byte* out) {
  const float inverse = inverse_or_zero(scale);
  for (std::size_t i = 0; i < kCount / 2; ++i) {
    const unsigned low = levels.code(x[i] * inverse);
    const unsigned high = levels.code(x[i + kCount / 2] * inverse);
    out[i] = static_cast<std::byte>(low | high << 4);
  }
}

// The scale byte in [first, last] with the smallest error.
template <std::size_t kCount>
unsigned best_byte(const float* x, const float* w, int first, int last, float (*scale)(unsigned)) {
  unsigned best = static_cast<unsigned>(first);
  float least = std::numeric_limits<float>::infinity();
  for (int c = first; c <= last; ++c) {
    const auto byte = static_cast<unsigned>(c);
    const float error = scale_errors<kCount>(x, w, Tries<1>{scale(byte)}, kFp4Levels)[0];
    if (error < least) {
      least = error;
      best = byte;
    }
  }
  return best;
}

}  // namespace

void encode_iq4_nl(const float* in, std::byte* b, std::size_t count,
                   std::span<const float> importance) {
  with_wide_vectors([&] {
    for (std::size_t k = 0; k < count; k += 32, b += 18) {
      const std::uint16_t d =
          f16_bits(fit_scale<32>(in + k, block_weights(importance, k), kIq4Levels));
      store(b, d);
      put_nibbles<32>(in + k, f16_to_f32(d), kIq4Levels, b + 2);
    }
  });
}

// The scale is a power of two: the one that just holds the largest element, or a neighbour.
void encode_mxfp4(const float* in, std::byte* b, std::size_t count,
                  std::span<const float> importance) {
  with_wide_vectors([&] {
    for (std::size_t k = 0; k < count; k += 32, b += 17) {
      const float most = std::fabs(signed_extreme<32>(in + k));
      int exponent = 0;
      if (most > 0 && std::isfinite(most)) exponent = std::ilogb(most) - 2 + 127;
      const unsigned e =
          best_byte<32>(in + k, block_weights(importance, k), std::clamp(exponent - 1, 0, 254),
                        std::clamp(exponent + 1, 0, 254), mxfp4_scale);
      b[0] = static_cast<std::byte>(e);
      put_nibbles<32>(in + k, mxfp4_scale(e), kFp4Levels, b + 1);
    }
  });
}

void encode_nvfp4(const float* in, std::byte* b, std::size_t count,
                  std::span<const float> importance) {
  with_wide_vectors([&] {
    constexpr int kBelow = 3, kAbove = 6, kLast = 0x7e;
    for (std::size_t k = 0; k < count; k += 64, b += 36) {
      for (std::size_t s = 0; s < 4; ++s) {
        const float* x = in + k + 16 * s;
        // The smallest scale that holds the largest element; bytes grow with their scales.
        const float wanted = std::fabs(signed_extreme<16>(x)) / kFp4Levels.hi;
        int c = 0, above = kLast;
        while (c < above) {
          const int middle = (c + above) / 2;
          if (nvfp4_scale(static_cast<unsigned>(middle)) < wanted)
            c = middle + 1;
          else
            above = middle;
        }
        const unsigned byte =
            best_byte<16>(x, block_weights(importance, k + 16 * s), std::max(c - kBelow, 0),
                          std::min(c + kAbove, kLast), nvfp4_scale);
        b[s] = static_cast<std::byte>(byte);
        put_nibbles<16>(x, nvfp4_scale(byte), kFp4Levels, b + 4 + 8 * s);
      }
    }
  });
}

}  // namespace lathe::infer
