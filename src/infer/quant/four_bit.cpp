// Four bits that name one of 16 unevenly spaced values. IQ4: int8 values from a table, f16 scale.
// MXFP4 and NVFP4: the values of a 4-bit float (E2M1), doubled so that they are integers; their
// block scales carry the halving.
#include "infer/quant/four_bit.h"
#include "infer/quant/blocks.h"

namespace lathe::infer {

void decode_iq4_nl(const std::byte* blocks, float* out, std::size_t count) {
  for (std::size_t k = 0; k < count; k += 32, blocks += 18) {
    const float d = load_f16(blocks);
    for (std::size_t i = 0; i < 32; ++i) out[k + i] = d * kIq4Values[nibble(blocks + 2, i, 32)];
  }
}

void decode_iq4_xs(const std::byte* blocks, float* out, std::size_t count) {
  for (std::size_t k = 0; k < count; k += kSuperBlock, blocks += 136) {
    const float d = load_f16(blocks);
    const unsigned high = load<std::uint16_t>(blocks + 2);
    for (std::size_t j = 0; j < 8; ++j) {
      const unsigned low = load_u8(blocks + 4 + j / 2) >> 4 * (j % 2) & 15;
      const int scale = static_cast<int>(low | (high >> 2 * j & 3) << 4) - 32;
      const float dl = d * static_cast<float>(scale);
      for (std::size_t i = 0; i < 32; ++i)
        out[k + 32 * j + i] = dl * kIq4Values[nibble(blocks + 8 + 16 * j, i, 32)];
    }
  }
}

// 2^(e - 128); the two smallest are subnormal in f32.
float mxfp4_scale(unsigned e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

void decode_mxfp4(const std::byte* blocks, float* out, std::size_t count) {
  for (std::size_t k = 0; k < count; k += 32, blocks += 17) {
    const float d = mxfp4_scale(load_u8(blocks));
    for (std::size_t i = 0; i < 32; ++i) out[k + i] = d * kFp4Values[nibble(blocks + 1, i, 32)];
  }
}

// Half of an unsigned E4M3 float. 0x7f would be NaN and counts as 0; the top bit is ignored.
float nvfp4_scale(unsigned c) {
  if (c == 0x7f) return 0;
  const unsigned exponent = c >> 3 & 15, mantissa = c & 7;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
  return std::bit_cast<float>((exponent - 8 + 127) << 23 | mantissa << 20);
}

void decode_nvfp4(const std::byte* blocks, float* out, std::size_t count) {
  for (std::size_t k = 0; k < count; k += 64, blocks += 36) {
    for (std::size_t s = 0; s < 4; ++s) {
      const float d = nvfp4_scale(load_u8(blocks + s));
      for (std::size_t i = 0; i < 16; ++i)
        out[k + 16 * s + i] = d * kFp4Values[nibble(blocks + 4 + 8 * s, i, 16)];
    }
  }
}

}  // namespace lathe::infer
