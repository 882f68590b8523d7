// What the files of this room share: the codecs of each family, and fields inside a block. Blocks
// are little endian, as is every machine Lathe runs on.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "infer/quant/tensor_type.h"

namespace lathe::infer {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::size_t kSuperBlock = 256;  // elements of a K-quant's block

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

inline unsigned load_u8(const std::byte* at) {
  return std::to_integer<unsigned>(*at);
}
inline int load_i8(const std::byte* at) {
  return load<std::int8_t>(at);
}
inline float load_f16(const std::byte* at) {
  return f16_to_f32(load<std::uint16_t>(at));
}

// Where 4-bit codes of `count` elements stand when byte j holds element j in its low and element
// j + count / 2 in its high nibble.
inline unsigned nibble(const std::byte* bytes, std::size_t i, std::size_t count) {
  const std::size_t half = count / 2;
  return load_u8(bytes + i % half) >> (i < half ? 0 : 4) & 15;
}

// half.cpp
void decode_f32(const std::byte* blocks, float* out, std::size_t count);
void decode_f16(const std::byte* blocks, float* out, std::size_t count);
void decode_bf16(const std::byte* blocks, float* out, std::size_t count);

// legacy.cpp: 32 elements, one scale, perhaps a minimum
void decode_q4_0(const std::byte* blocks, float* out, std::size_t count);
void decode_q4_1(const std::byte* blocks, float* out, std::size_t count);
void decode_q5_0(const std::byte* blocks, float* out, std::size_t count);
void decode_q5_1(const std::byte* blocks, float* out, std::size_t count);
void decode_q8_0(const std::byte* blocks, float* out, std::size_t count);

// k_quants.cpp: 256 elements, scales of scales
void decode_q2_k(const std::byte* blocks, float* out, std::size_t count);
void decode_q3_k(const std::byte* blocks, float* out, std::size_t count);
void decode_q4_k(const std::byte* blocks, float* out, std::size_t count);
void decode_q5_k(const std::byte* blocks, float* out, std::size_t count);
void decode_q6_k(const std::byte* blocks, float* out, std::size_t count);

// four_bit.cpp: 16 unevenly spaced values
void decode_iq4_nl(const std::byte* blocks, float* out, std::size_t count);
void decode_iq4_xs(const std::byte* blocks, float* out, std::size_t count);
void decode_mxfp4(const std::byte* blocks, float* out, std::size_t count);
void decode_nvfp4(const std::byte* blocks, float* out, std::size_t count);

// ternary.cpp: one scale a block
void decode_tq1_0(const std::byte* blocks, float* out, std::size_t count);
void decode_tq2_0(const std::byte* blocks, float* out, std::size_t count);
void decode_q1_0(const std::byte* blocks, float* out, std::size_t count);
void decode_q2_0(const std::byte* blocks, float* out, std::size_t count);

// codebook.cpp: IQ1, IQ2 and IQ3, groups of elements by their index in a grid
template <TensorType kType>
void decode_codebook(const std::byte* blocks, float* out, std::size_t count);

// encode_legacy.cpp, encode_k.cpp, encode_four_bit.cpp, encode_ternary.cpp, encode_codebook.cpp
void encode_f32(const float* in, std::byte* blocks, std::size_t count,
                std::span<const float> importance);
void encode_f16(const float* in, std::byte* blocks, std::size_t count,
                std::span<const float> importance);
void encode_bf16(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q4_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q4_1(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q5_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q5_1(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q8_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q2_k(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q3_k(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q4_k(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q5_k(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q6_k(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_iq4_nl(const float* in, std::byte* blocks, std::size_t count,
                   std::span<const float> importance);
void encode_iq4_xs(const float* in, std::byte* blocks, std::size_t count,
                   std::span<const float> importance);
void encode_mxfp4(const float* in, std::byte* blocks, std::size_t count,
                  std::span<const float> importance);
void encode_nvfp4(const float* in, std::byte* blocks, std::size_t count,
                  std::span<const float> importance);
void encode_tq1_0(const float* in, std::byte* blocks, std::size_t count,
                  std::span<const float> importance);
void encode_tq2_0(const float* in, std::byte* blocks, std::size_t count,
                  std::span<const float> importance);
void encode_q1_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
void encode_q2_0(const float* in, std::byte* blocks, std::size_t count,
                 std::span<const float> importance);
template <TensorType kType>
void encode_codebook(const float* in, std::byte* blocks, std::size_t count,
                     std::span<const float> importance);

}  // namespace lathe::infer
