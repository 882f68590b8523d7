// Ternary and binary types: one half float for a block, and -1, 0, 1 (2 where two bits allow it),
// or only a sign, for an element.
#include "infer/quant/ternary.h"

#include "infer/quant/blocks.h"

namespace lathe::infer {
namespace {

template <std::size_t kBlock, std::size_t kBytes, std::size_t kScale, auto kWeight>
void decode_blocks(const std::byte* b, float* out, std::size_t count) {
  for (std::size_t k = 0; k < count; k += kBlock, b += kBytes) {
    const float d = load_f16(b + kScale);
    for (std::size_t i = 0; i < kBlock; ++i) out[k + i] = d * static_cast<float>(kWeight(b, i));
  }
}

// Digit n, the highest first, of five in base 3 that a byte holds as a fraction of 256.
int base3_digit(std::byte byte, std::size_t n) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  const unsigned fraction = std::to_integer<unsigned>(byte) * kPowers[n] & 255;
  return static_cast<int>(fraction * 3 >> 8);
}

}  // namespace

// 32 bytes have 5 elements each, 32 apart; then 16 bytes, 16 apart; then 4 bytes with 4, 4 apart.
int tq1_0_weight(const std::byte* block, std::size_t i) {
  if (i < 160) return base3_digit(block[i % 32], i / 32) - 1;
  if (i < 240) return base3_digit(block[32 + i % 16], (i - 160) / 16) - 1;
  return base3_digit(block[48 + i % 4], (i - 240) / 4) - 1;
}

int tq2_0_weight(const std::byte* block, std::size_t i) {
  return static_cast<int>(load_u8(block + 32 * (i / 128) + i % 32) >> 2 * (i % 128 / 32) & 3) - 1;
}

int q1_0_weight(const std::byte* block, std::size_t i) {
  return load_u8(block + 2 + i / 8) >> i % 8 & 1 ? 1 : -1;
}

int q2_0_weight(const std::byte* block, std::size_t i) {
  return static_cast<int>(load_u8(block + 2 + i / 4) >> 2 * (i % 4) & 3) - 1;
}

void decode_tq1_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<256, 54, 52, tq1_0_weight>(blocks, out, count);
}
void decode_tq2_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<256, 66, 64, tq2_0_weight>(blocks, out, count);
}
void decode_q1_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<128, 18, 0, q1_0_weight>(blocks, out, count);
}
void decode_q2_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<64, 18, 0, q2_0_weight>(blocks, out, count);
}

}  // namespace lathe::infer
