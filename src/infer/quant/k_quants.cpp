// Super-blocks of 256 elements: f16 scale d (and dmin), a few bits of scale (and minimum) for each
// sub-block of 16 or 32, then the codes.
#include "infer/quant/blocks.h"

namespace lathe::infer {
namespace {

template <std::size_t kBytes, class Block>
void decode_blocks(const std::byte* b, float* out, std::size_t count, Block block) {
  for (std::size_t k = 0; k < count; k += kSuperBlock, b += kBytes) block(b, out + k);
}

// Two bits of element i, as Q2_K and Q3_K keep them: four elements of a byte are 32 apart.
int two_bits(const std::byte* qs, std::size_t i) {
  return static_cast<int>(load_u8(qs + 32 * (i / 128) + i % 32) >> 2 * (i % 128 / 32) & 3);
}

// Scale k of Q3_K: four low bits in s[0..7], two high bits in s[8..11].
int q3_scale(const std::byte* s, std::size_t k) {
  const unsigned low = k < 8 ? load_u8(s + k) & 15 : load_u8(s + k - 8) >> 4;
  const unsigned high = load_u8(s + 8 + k % 4) >> 2 * (k / 4) & 3;
  return static_cast<int>(low | high << 4) - 32;
}

struct ScaleMin {
  unsigned scale, min;
};

// The 6-bit scale and minimum of sub-block j of Q4_K and Q5_K, packed in 12 bytes.
ScaleMin q4_scale_min(const std::byte* s, std::size_t j) {
  if (j < 4) return {load_u8(s + j) & 63, load_u8(s + j + 4) & 63};
  const unsigned low = load_u8(s + j + 4);
  return {(low & 15) | load_u8(s + j - 4) >> 6 << 4, low >> 4 | load_u8(s + j) >> 6 << 4};
}

int q4_code(const std::byte* qs, std::size_t i) {
  return static_cast<int>(load_u8(qs + 32 * (i / 64) + i % 32) >> 4 * (i / 32 % 2) & 15);
}

// Q4_K and Q5_K but for their codes.
template <class Code>
void decode_scale_min(const std::byte* b, float* out, Code code) {
  const float d = load_f16(b), dmin = load_f16(b + 2);
  for (std::size_t j = 0; j < 8; ++j) {
    const ScaleMin sub = q4_scale_min(b + 4, j);
    const float scale = d * static_cast<float>(sub.scale);
    const float min = dmin * static_cast<float>(sub.min);
    for (std::size_t i = 32 * j; i < 32 * j + 32; ++i)
      out[i] = scale * static_cast<float>(code(i)) - min;
  }
}

int q6_code(const std::byte* b, std::size_t i) {
  const std::size_t n = i / 128, g = i % 128 / 32, l = i % 32;
  const unsigned low = load_u8(b + 64 * n + 32 * (g % 2) + l) >> 4 * (g / 2) & 15;
  const unsigned high = load_u8(b + 128 + 32 * n + l) >> 2 * g & 3;
  return static_cast<int>(low | high << 4) - 32;
}

}  // namespace

void decode_q2_k(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<84>(blocks, out, count, [](const std::byte* b, float* x) {
    const float d = load_f16(b + 80), dmin = load_f16(b + 82);
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const unsigned s = load_u8(b + i / 16);
      x[i] = d * static_cast<float>(s & 15) * static_cast<float>(two_bits(b + 16, i)) -
             dmin * static_cast<float>(s >> 4);
    }
  });
}

void decode_q3_k(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<110>(blocks, out, count, [](const std::byte* b, float* x) {
    const float d = load_f16(b + 108);
    for (std::size_t i = 0; i < kSuperBlock; ++i) {
      const bool high = load_u8(b + i % 32) >> (i / 32) & 1;
      x[i] = d * static_cast<float>(q3_scale(b + 96, i / 16)) *
             static_cast<float>(two_bits(b + 32, i) - (high ? 0 : 4));
    }
  });
}

void decode_q4_k(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<144>(blocks, out, count, [](const std::byte* b, float* x) {
    decode_scale_min(b, x, [b](std::size_t i) { return q4_code(b + 16, i); });
  });
}

void decode_q5_k(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<176>(blocks, out, count, [](const std::byte* b, float* x) {
    decode_scale_min(b, x, [b](std::size_t i) {
      return q4_code(b + 48, i) | static_cast<int>(load_u8(b + 16 + i % 32) >> (i / 32) & 1) << 4;
    });
  });
}

void decode_q6_k(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<210>(blocks, out, count, [](const std::byte* b, float* x) {
    const float d = load_f16(b + 208);
    for (std::size_t i = 0; i < kSuperBlock; ++i)
      x[i] = d * static_cast<float>(load_i8(b + 192 + i / 16)) * static_cast<float>(q6_code(b, i));
  });
}

}  // namespace lathe::infer
