// F32 to BF16, and the encoders of the blocks in legacy.cpp.
#include <algorithm>

#include "infer/quant/blocks.h"
#include "infer/quant/fit.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kBlock = 32;

using Codes = std::array<unsigned, kBlock>;

// Low nibbles at `low`, fifth bits (if there is a place for them) at `high`.
void put_codes(const Codes& codes, std::byte* low, std::byte* high) {
  std::uint32_t fifth = 0;
  for (std::size_t i = 0; i < kBlock / 2; ++i) {
    const unsigned pair = (codes[i] & 15) | (codes[i + kBlock / 2] & 15) << 4;
    low[i] = static_cast<std::byte>(pair);
  }
  for (std::size_t i = 0; i < kBlock; ++i) fifth |= (codes[i] >> 4 & 1) << i;
  if (high) store(high, fifth);
}

// d, then the codes of x / d above `levels.lo`.
template <std::size_t kBytes, std::size_t kLow>
void encode_scale(const float* in, std::byte* b, std::size_t count,
                  std::span<const float> importance, Uniform levels) {
  for (std::size_t k = 0; k < count; k += kBlock, b += kBytes) {
    const float* x = in + k;
    const std::uint16_t d = f16_bits(fit_scale<kBlock>(x, block_weights(importance, k), levels));
    const float inverse = inverse_or_zero(f16_to_f32(d));
    Codes codes;
    for (std::size_t i = 0; i < kBlock; ++i) codes[i] = levels.code(x[i] * inverse);
    store(b, d);
    put_codes(codes, b + kLow, kLow > 2 ? b + 2 : nullptr);
  }
}

// d and m, then the codes of (x − m) / d.
template <std::size_t kBytes, std::size_t kLow>
void encode_affine(const float* in, std::byte* b, std::size_t count,
                   std::span<const float> importance, float max) {
  for (std::size_t k = 0; k < count; k += kBlock, b += kBytes) {
    const float* x = in + k;
    const AffineFit fit = fit_affine<kBlock>(x, block_weights(importance, k), max, false);
    const std::uint16_t d = f16_bits(fit.scale), m = f16_bits(-fit.min);
    const float inverse = inverse_or_zero(f16_to_f32(d)), offset = f16_to_f32(m);
    Codes codes;
    for (std::size_t i = 0; i < kBlock; ++i)
      codes[i] = static_cast<unsigned>(round_even(clamped((x[i] - offset) * inverse, 0, max)));
    store(b, d);
    store(b + 2, m);
    put_codes(codes, b + kLow, kLow > 4 ? b + 4 : nullptr);
  }
}

}  // namespace

void encode_f32(const float* in, std::byte* blocks, std::size_t count, std::span<const float>) {
  std::memcpy(blocks, in, count * sizeof(float));
}

void encode_f16(const float* in, std::byte* blocks, std::size_t count, std::span<const float>) {
  for (std::size_t i = 0; i < count; ++i) store(blocks + 2 * i, f32_to_f16(in[i]));
}

void encode_bf16(const float* in, std::byte* blocks, std::size_t count, std::span<const float>) {
  for (std::size_t i = 0; i < count; ++i) store(blocks + 2 * i, f32_to_bf16(in[i]));
}

void encode_q4_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] { encode_scale<18, 2>(in, blocks, count, importance, {-8, 7}); });
}

void encode_q4_1(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] { encode_affine<20, 4>(in, blocks, count, importance, 15); });
}

void encode_q5_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] { encode_scale<22, 6>(in, blocks, count, importance, {-16, 15}); });
}

void encode_q5_1(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance) {
  with_wide_vectors([&] { encode_affine<24, 8>(in, blocks, count, importance, 31); });
}

// With 8 bits a search gains nothing; -128 is left out because kernels negate codes.
void encode_q8_0(const float* in, std::byte* b, std::size_t count, std::span<const float>) {
  for (std::size_t k = 0; k < count; k += kBlock, b += 34) {
    const std::uint16_t d = f16_bits(std::fabs(signed_extreme<kBlock>(in + k)) / 127);
    const float inverse = inverse_or_zero(f16_to_f32(d));
    store(b, d);
    for (std::size_t i = 0; i < kBlock; ++i)
      store(b + 2 + i,
            static_cast<std::int8_t>(round_even(clamped(in[k + i] * inverse, -127, 127))));
  }
}

}  // namespace lathe::infer
