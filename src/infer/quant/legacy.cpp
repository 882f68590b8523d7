// Blocks of 32 elements: f16 scale d, for the _1 types f16 minimum m, for the 5-bit types a u32
// with the fifth bits, then the codes.
#include "infer/quant/blocks.h"

namespace lathe::infer {
namespace {

constexpr std::size_t kBlock = 32;

template <std::size_t kBytes, class Element>
void decode_blocks(const std::byte* b, float* out, std::size_t count, Element element) {
  for (std::size_t k = 0; k < count; k += kBlock, b += kBytes) {
    const float d = load_f16(b);
    for (std::size_t i = 0; i < kBlock; ++i) out[k + i] = element(b, d, i);
  }
}

int five_bits(const std::byte* high, const std::byte* low, std::size_t i) {
  return static_cast<int>(nibble(low, i, kBlock) | (load<std::uint32_t>(high) >> i & 1) << 4);
}

}  // namespace

void decode_q4_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<18>(blocks, out, count, [](const std::byte* b, float d, std::size_t i) {
    return d * static_cast<float>(static_cast<int>(nibble(b + 2, i, kBlock)) - 8);
  });
}

void decode_q4_1(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<20>(blocks, out, count, [](const std::byte* b, float d, std::size_t i) {
    return d * static_cast<float>(nibble(b + 4, i, kBlock)) + load_f16(b + 2);
  });
}

void decode_q5_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<22>(blocks, out, count, [](const std::byte* b, float d, std::size_t i) {
    return d * static_cast<float>(five_bits(b + 2, b + 6, i) - 16);
  });
}

void decode_q5_1(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<24>(blocks, out, count, [](const std::byte* b, float d, std::size_t i) {
    return d * static_cast<float>(five_bits(b + 4, b + 8, i)) + load_f16(b + 2);
  });
}

void decode_q8_0(const std::byte* blocks, float* out, std::size_t count) {
  decode_blocks<34>(blocks, out, count, [](const std::byte* b, float d, std::size_t i) {
    return d * static_cast<float>(load_i8(b + 2 + i));
  });
}

}  // namespace lathe::infer
