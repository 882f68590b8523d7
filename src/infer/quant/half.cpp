// Sixteen-bit floats to and from 32 bits.
#include "infer/quant/blocks.h"

namespace lathe::infer {

float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  std::uint32_t value = (bits & 0x7fffu) << 13;
  const std::uint32_t exponent = value & 0x0f800000u;
  value += (127u - 15u) << 23;
  if (exponent == 0x0f800000u) {  // infinity or NaN, which is made quiet
    value += (128u - 16u) << 23;
    if (value & 0x007fffffu) value |= 0x00400000u;
  } else if (exponent == 0) {  // subnormal: a normal number of f32, once its leading 1 is taken off
    const float magnitude =
        std::bit_cast<float>(value + (1u << 23)) - std::bit_cast<float>(113u << 23);
    value = std::bit_cast<std::uint32_t>(magnitude);
  }
  return std::bit_cast<float>(value | sign);
}

std::uint16_t f32_to_f16(float input) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(input);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  std::uint32_t value = bits & 0x7fffffffu;
  if (value > 0x7f800000u)
    value = 0x7e00u | (value >> 13 & 0x3ffu);
  else if (value >= 0x47800000u)  // 2^16 and above
    value = 0x7c00u;
  else if (value < 0x38800000u)  // below 2^-14: the addition rounds to multiples of 2^-24
    value = std::bit_cast<std::uint32_t>(std::bit_cast<float>(value) + 0.5f) - 0x3f000000u;
  else  // half of the last place, less a bit when the result is even; a carry may give infinity
    value = (value - ((127u - 15u) << 23) + 0xfffu + (value >> 13 & 1u)) >> 13;
  return static_cast<std::uint16_t>(sign | value);
}

void decode_f32(const std::byte* blocks, float* out, std::size_t count) {
  std::memcpy(out, blocks, count * sizeof(float));
}

void decode_f16(const std::byte* blocks, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = load_f16(blocks + 2 * i);
}

void decode_bf16(const std::byte* blocks, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = bf16_to_f32(load<std::uint16_t>(blocks + 2 * i));
}

}  // namespace lathe::infer
